"""The page Benchmark over the real service: planned, started, watched, read, compared."""

import json
from pathlib import Path
from typing import Any, Final, Literal

import pytest
from streamlit.testing.v1 import AppTest

from rag_adapt.bench.arms import ARMS
from rag_adapt.bench.dose_figures import Crossover, DoseReport
from rag_adapt.bench.store import Header
from rag_adapt.client import Client
from rag_adapt.engines.scripted import ScriptedEngine
from rag_adapt.jobs.job import output_path
from tests.api.parts import app_of, listening
from tests.api.working import idle_desk
from tests.bench.page_samples import report
from tests.serving.parts import HOME, benched, imported, service
from tests.ui.parts import button, page, ran, read, unfolded, until, words
from ui.connection import ADDRESS
from ui.job_watch import asked
from ui.run_list import AT_ONCE
from ui.run_order import KINDS


def named(one: Any) -> str:
    """The words on a button that the test's types do not know."""
    return str(one.label)


RUN: Final = "20261122-063619-9e7c1e"


CROSSOVER: Final = Crossover(
    skill="tickets",
    a="few-shot",
    b="lora",
    low=10,
    high=50,
    shown=True,
    where="between 10 and 50",
    sentence="lora passes few-shot between 10 and 50 examples.",
)


CURVES: Final[dict[Literal["few-shot", "lora"], tuple[float, ...]]] = {
    "few-shot": (0.3, 0.4, 0.5),
    "lora": (0.2, 0.5, 0.8),
}


def doses() -> tuple[DoseReport, ...]:
    """Two channels at three sizes; one of them was not measured."""
    return tuple(
        DoseReport(
            skill="tickets",
            channel=channel,
            examples=examples,
            arm=f"{channel}@{examples}",
            measured=(channel, examples) != ("lora", 50),
            reason="too few" if (channel, examples) == ("lora", 50) else None,
            n=60,
            score=score,
            ci_low=score - 0.1,
            ci_high=score + 0.1,
        )
        for channel, scores in CURVES.items()
        for examples, score in zip((1, 10, 50), scores, strict=True)
    )


def kept(id: str = RUN, state: Literal["running", "complete"] = "complete", **differs: Any) -> str:
    """A run whose report has every part that there can be, as a benchmark leaves it."""
    whole, rows = report(["tickets"])
    whole = whole.model_copy(
        update={"run": whole.run | differs, "doses": doses(), "crossovers": (CROSSOVER,)}
    )
    rows = [
        one.model_copy(update={"alone": place % 60 < 3, "total": 0.2 + place / 100})
        for place, one in enumerate(rows)
    ]
    header = Header(
        id=id,
        state=state,
        plan_hash="9e7c1e93c29a",
        created="2026-11-22T06:36:19+00:00",
        command="rag-adapt bench tickets",
        plan={"skills": {"tickets": "f8d3ad3063c6"}, "arms": ["prompt", "rag"]},
        fingerprint={"engine": "scripted", "model": "default"},
    )
    folder = HOME / "runs" / id
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(header.model_dump_json())
    (folder / "report.json").write_text(whole.model_dump_json())
    (folder / "report.html").write_text("<!doctype html>")
    (folder / "answers.jsonl").write_text("".join(f"{row.model_dump_json()}\n" for row in rows))
    return id


@pytest.fixture
def run(address: str) -> str:
    """A finished run."""
    return kept()


def chosen(test: AppTest, skills: list[str], arms: list[str]) -> AppTest:
    """The form, filled in and sent."""
    test.multiselect[0].set_value(skills)
    test.multiselect[1].set_value(arms)
    button(test, "Plan").click()
    return ran(test)


def test_an_empty_home_says_what_to_do_next(address: str) -> None:
    with page("benchmark") as test:
        assert "No run yet" in words(test)
        assert "as soon as there are two" in words(test)
        button(test, "Plan").click()
        assert "Choose at least one skill" in words(ran(test))


def test_every_arm_of_the_benchmark_has_its_words() -> None:
    assert list(KINDS) == list(ARMS)


def test_a_plan_comes_before_anything_is_asked_and_survives_a_reload(address: str) -> None:
    imported()
    with page("benchmark") as test:
        chosen(test, ["colours"], ["prompt", "rag"])
        said = words(test)
        order = test.query_params["order"]
    assert "Answers" in said
    assert "colours: with 6 items a difference of" in said
    assert not (HOME / "runs").exists()
    with page("benchmark", order=order) as again:
        assert "colours: with 6 items" in words(again)
        button(again, "Change").click()
        ran(again)
        assert "order" not in again.query_params
        assert [one.value for one in again.multiselect] == [["colours"], ["prompt", "rag"], []]


def test_a_run_is_started_watched_over_a_reload_and_its_report_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    imported()
    desk = idle_desk()
    desk.runner.start = lambda: None  # type: ignore[method-assign]  # it shall wait
    order = {"skills": ["colours"], "arms": ["prompt", "rag"], "tune": 0, "items": 4}
    with listening(app_of(service(ScriptedEngine()), desk=desk)) as url:
        monkeypatch.setenv(ADDRESS, url)
        with page("benchmark", order=json.dumps(order)) as test:
            button(test, "Start").click()
            job = ran(test).query_params["job"]
            assert "It waits for its turn" in words(test)
        assert "--items=4" in desk.jobs.get(job).argv
        with page("benchmark", job=job) as test:
            assert "The verdict comes at the end" in words(test)
            assert not test.metric
            desk.jobs.claim()
            desk.jobs.finish(job, "done", exit_code=0)
            output_path(desk.jobs.folder, job).write_text(json.dumps({"run": {"id": kept()}}))
            button(ran(test), "Read the report").click()
            ran(test)
            assert test.query_params == {"run": RUN}
            assert "Use rag+lora: it is better" in words(test)


def part(test: AppTest, words_: str) -> AppTest:
    """Choose a part of the report."""
    test.segmented_control[0].set_value(words_)
    return ran(test)


PARTS: Final = {
    "Scores": (
        ("Score of every arm (%)", "Paired differences (points)"),
        ("Control arms", "not measured: items name no gold passages"),
    ),
    "Cost and time": (
        ("Score (%) against the cost", "that were whole after so many seconds"),
        ("3 answers of each arm, computed alone", "Time of an answer"),
    ),
    "Fixed and broken": ((), ("Choose a contrast",)),
    "Labels": ((), ("Choose an arm to see",)),
    "Evidence": (("where the evidence was retrieved",), ("Rescued: wrong without",)),
    "Learning": (
        ("Score (%) by the number of examples", "What training taught (bits"),
        (
            "lora passes few-shot between 10 and 50 examples.",
            "lora with 50 examples was not measured: too few",
            "What training damaged",
        ),
    ),
    "More": (
        (),
        ("Retrieval and the adapter add up", "2 leaks among 60 test items", "What each route was"),
    ),
}
"""Titles of charts, and other words, by part of the report."""


def test_a_report_begins_with_its_sentence_and_what_that_rests_on(run: str) -> None:
    with page("benchmark", run=run) as test:
        assert read(test.subheader[0].value).startswith("Use rag+lora: it is better")
        assert "Decided by the test." in words(test)
        assert {read(str(one.value)) for one in test.metric} >= {"rag+lora", "decided"}
        assert list(test.segmented_control[0].options) == list(PARTS)


@pytest.mark.parametrize("words_", PARTS)
def test_every_part_of_a_report_is_drawn_with_its_data(run: str, words_: str) -> None:
    charts, said = PARTS[words_]
    with page("benchmark", run=run) as test:
        part(test, words_)
        for title in (*charts, *said):
            assert title in words(test), title
        assert len(test.get("vega_lite_chart") or test.get("arrow_vega_lite_chart")) == len(charts)
        assert [one.label for one in test.expander].count("Its data") == len(charts)
        assert not test.get("download_button")
        assert len(unfolded(test).get("download_button")) == len(charts)


def test_what_was_not_measured_has_no_part(address: str) -> None:
    bare, _ = report(["past-tense"])
    bare = bare.model_copy(
        update={"arms": bare.arms[:1], "pairs": (), "retrieved": (), "leaks": (), "readouts": ()}
    )
    bare = bare.model_copy(update={"interactions": (), "recommendations": (), "doses": ()})
    folder = HOME / "runs" / kept()
    (folder / "report.json").write_text(bare.model_dump_json())
    with page("benchmark", run=folder.name) as test:
        assert list(test.segmented_control[0].options) == [
            "Scores",
            "Cost and time",
            "Fixed and broken",
            "More",
        ]
        assert "This run compared no two arms" in words(part(test, "Fixed and broken"))


def test_items_that_turned_are_shown_with_both_answers_as_text(run: str) -> None:
    with page("benchmark", run=run) as test:
        part(test, "Fixed and broken")
        contrast = next(one for one in test.selectbox if one.label == "Contrast")
        contrast.select(next(one for one in contrast.options if one.startswith("lora over prompt")))
        said = words(ran(test))
        assert "where is my parcel?" in said
        assert "fixed, +100.0 points" in said
        assert "prompt:\nI would be glad to help!" in [one.value for one in test.text]
        test.segmented_control[1].set_value("broken")
        assert "fixed, +" not in words(ran(test))


def test_labels_that_were_mixed_up_are_counted(run: str) -> None:
    with page("benchmark", run=run) as test:
        part(test, "Labels")
        arm = next(one for one in test.selectbox if one.label == "Arm")
        arm.select("lora")
        tables = [one.value for one in unfolded(ran(test)).dataframe]
        (counted,) = [table for table in tables if "answered" in table.columns]
        assert counted["answers"].sum() == 60


def test_reports_are_downloaded_as_json_and_as_a_page(run: str) -> None:
    with page("benchmark", run=run) as test:
        test.toggle[0].set_value(True)
        labels = [named(one) for one in ran(test).get("download_button")]
        assert labels[:2] == ["report.json", "report.html"]


def test_a_report_of_another_version_is_not_drawn_but_can_be_taken_along(run: str) -> None:
    Path(HOME / "runs" / run / "report.json").write_text('{"schema_version": "9.0"}')
    with page("benchmark", run=run) as test:
        assert "Another version of rag-adapt wrote this report" in words(test)
        assert [one.label for one in test.toggle] == ["Downloads"]


def stopped() -> str:
    """A run of a skill of this home that was cancelled after five of twelve answers."""
    imported()
    benched()
    (folder,) = (HOME / "runs").iterdir()
    header = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(header | {"state": "running"}))
    rows = (folder / "answers.jsonl").read_text().splitlines(keepends=True)
    (folder / "answers.jsonl").write_text("".join(rows[:5]))
    return folder.name


def bars(test: AppTest) -> list[str]:
    """What stands on the bars of progress."""
    return [read(str(one.proto.text)) for one in test.get("progress")]


def test_a_stopped_run_shows_counts_and_no_figure_and_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run, desk = stopped(), idle_desk()
    desk.runner.start = lambda: None  # type: ignore[method-assign]  # it shall wait
    with listening(app_of(service(ScriptedEngine()), desk=desk)) as url:
        monkeypatch.setenv(ADDRESS, url)
        with page("benchmark", run=run) as test:
            said = words(test)
            assert "Counts only" in said
            assert "so there is no verdict" in said
            assert "colours: 5 of 12 answers" in said
            assert "The last answer was kept at" in said
            assert sum(int(text.split(": ")[1].split(" of ")[0]) for text in bars(test)) == 5
            assert not test.metric
            assert not test.dataframe
            button(test, "Resume").click()
            job = ran(test).query_params["job"]
        assert desk.jobs.get(job).argv[0] == "bench"
        with page("benchmark", run=run) as test:
            assert "This run is at work" in words(test)
            (HOME / "runs" / run / "answers.jsonl").write_text("")
            assert "colours: 0 of 12 answers" in words(ran(test))
            assert "The last answer was kept at" not in words(test)
            button(test, "Watch").click()
            assert ran(test).query_params == {"job": job}


def test_a_run_at_work_counts_its_arms_and_can_be_resumed_after_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run, desk = stopped(), idle_desk()
    desk.runner.start = lambda: None  # type: ignore[method-assign]  # the test claims it
    with listening(app_of(service(ScriptedEngine()), desk=desk)) as url:
        monkeypatch.setenv(ADDRESS, url)
        with Client(url) as client:
            job = client.runs.resume(run).id
        desk.jobs.claim()
        with page("benchmark", job=job) as test:
            assert "Counts only" in words(test)
            assert [text.split(":")[0] for text in bars(test)[1:]] == ["prompt", "rag"]
            assert not test.metric
            failed = json.loads((HOME / "runs" / run / "answers.jsonl").read_text().splitlines()[0])
            with (HOME / "runs" / run / "answers.jsonl").open("a") as more:
                more.write(json.dumps(failed | {"failure": "timeout", "score": None}) + "\n")
            until(test, lambda t: "6 of 12 answers, 1 failed" in words(t))
            desk.jobs.finish(job, "cancelled")
            until(test, lambda t: "It was cancelled" in words(t))
            button(test, "Resume").click()
            assert ran(test).query_params["job"] != job


def test_past_runs_are_listed_opened_and_compared(run: str) -> None:
    newer, begun = kept(f"9{run}"), kept(f"99{run}", state="running")
    with page("benchmark") as test:
        assert [one.key for one in test.button if one.label == "Read"] == [
            f"read-{begun}",
            f"read-{newer}",
            f"read-{run}",
        ]
        button(test, "Compare").click()
        said = words(ran(test))
        assert f"{newer} minus {run}" in said
        assert "tickets: change of score (points)" in said
        assert list(test.dataframe[0].value["arm"]) == [
            "prompt",
            "rag",
            "lora",
            "rag+lora",
            "bare",
            "nearest-label",
        ]
        button(test, "All runs").click()
        test = ran(test)
        test.button(key=f"read-{run}").click()
        assert ran(test).query_params["run"] == run


def test_a_run_that_is_not_there_is_said_as_the_service_says_it(address: str) -> None:
    with page("benchmark", run="ghost") as test:
        assert "ghost" in words(test)
        assert button(test, "All runs")


def test_a_wrong_order_in_the_address_names_the_field(address: str) -> None:
    for order in ("{", "[]", '{"skills": ["x"]}', '{"skills": ["colours"], "model": "x"}'):
        with page("benchmark", order=order) as test:
            assert "That did not work" in words(test)


def test_jobs_at_work_are_listed_and_one_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = idle_desk()
    job = desk.jobs.submit(["bench", "beats=100000"])
    other = desk.jobs.submit(["index", "build"])
    with (
        listening(app_of(service(ScriptedEngine()), desk=desk)) as url,
        monkeypatch.context() as told,
    ):
        told.setenv(ADDRESS, url)
        cancelled_on_the_page(job.id, other.id)


def cancelled_on_the_page(job: str, other: str) -> None:
    with page("benchmark") as test:
        assert [one.key for one in test.button if one.label == "Watch"] == [f"watch-{job}"]
        assert "bench beats=100000" in [one.value for one in test.text]
        assert other not in str([one.key for one in test.button])
        button(test, "Watch").click()
        until(test, lambda t: "Running for" in words(t))
        assert test.query_params["job"] == job
        button(test, "Cancel").click()
        until(test, lambda t: "It was cancelled" in words(t))


def test_a_job_is_named_without_its_options() -> None:
    assert asked(["bench", "--json", "--model=x", "--", "parts", "sums"]) == "bench parts sums"


def test_older_runs_are_a_page_further(address: str) -> None:
    for number in range(AT_ONCE + 1):
        kept(f"20261122-0636{number:02}-9e7c1e")
    with page("benchmark") as test:
        assert len([one for one in test.button if one.label == "Read"]) == AT_ONCE
        button(test, "Older").click()
        assert len([one for one in ran(test).button if one.label == "Read"]) == 1
        button(test, "Newest").click()
        assert len([one for one in ran(test).button if one.label == "Read"]) == AT_ONCE


def test_runs_that_are_not_comparable_say_why(run: str) -> None:
    other = kept(f"9{run}", model={"engine": "embedded", "weights": "another"})
    with page("benchmark", a=run, b=other) as test:
        said = words(test)
        assert "A difference may have another cause" in said
        assert "model.weights differs" in said
        assert "model.weights" in list(test.dataframe[1].value["what"])


def test_a_job_that_did_not_end_well_says_why_and_can_be_planned_again(address: str) -> None:
    desk, order = idle_desk(), json.dumps({"skills": ["colours"], "arms": ["prompt"]})
    for state, said in (
        ("failed", "It failed."),
        ("cancelled", "It was cancelled."),
        ("interrupted", "It was interrupted: its process is gone."),
    ):
        job = desk.jobs.submit(["bench", state])
        desk.jobs.claim()
        desk.jobs.finish(job.id, state, exit_code=1)  # type: ignore[arg-type]
        with page("benchmark", job=job.id, order=order) as test:
            assert said in words(test)
            assert ("the command ended with exit code 1" in words(test)) == (state == "failed")
            button(test, "Plan the same again").click()
            assert "job" not in ran(test).query_params
    with page("benchmark", job="0" * 32) as test:
        assert "That did not work" in words(test)
