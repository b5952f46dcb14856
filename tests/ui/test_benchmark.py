"""The page Benchmark over the real service: planned, started, watched, read, compared."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from rag_adapt.bench.arms import ARMS
from rag_adapt.bench.store import list_runs
from rag_adapt.engines.scripted import ScriptedEngine
from tests.api.parts import app_of, listening
from tests.api.working import idle_desk
from tests.bench.page_samples import report
from tests.serving.parts import HOME, benched, imported, service
from tests.ui.parts import button, page, ran, read, until, words
from ui.connection import ADDRESS
from ui.run_order import KINDS


def named(one: Any) -> str:
    """The words on a button that the test's types do not know."""
    return str(one.label)


def only_run() -> str:
    (run,) = list_runs(HOME / "runs")
    return run.path.name


@pytest.fixture
def run(address: str) -> str:
    """A finished run of a skill with documents."""
    imported()
    benched()
    return only_run()


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
        assert "order" not in ran(again).query_params


def test_a_run_is_started_watched_over_a_reload_and_its_report_read(address: str) -> None:
    imported()
    order = {"skills": ["colours"], "arms": ["prompt", "rag"], "tune": 0, "items": 4}
    with page("benchmark", order=json.dumps(order)) as test:
        button(test, "Start").click()
        ran(test)
        job = test.query_params["job"]
        assert "There is no verdict" not in words(test)
    with page("benchmark", job=job) as test:
        until(test, lambda t: any(b.label == "Read the report" for b in t.button))
        button(test, "Read the report").click()
        ran(test)
        assert test.query_params["run"] == only_run()
        assert "Expected regret" in words(test)


@pytest.fixture
def drawn(run: str) -> str:
    """A finished run whose report has every part that there can be."""
    whole, rows = report(["tickets"])
    folder = HOME / "runs" / run
    (folder / "report.json").write_text(whole.model_dump_json())
    (folder / "answers.jsonl").write_text("".join(f"{row.model_dump_json()}\n" for row in rows))
    return run


def test_a_report_begins_with_its_sentence_and_what_that_rests_on(drawn: str) -> None:
    with page("benchmark", run=drawn) as test:
        said = words(test)
        assert read(test.subheader[0].value).startswith("Use rag+lora: it is better")
        assert "Decided by the test." in said
        assert {read(str(one.value)) for one in test.metric} >= {"rag+lora", "decided"}
        for title in (
            "Score of every arm (%)",
            "Paired differences (points)",
            "Score (%) against the cost",
            "Time of an answer (seconds)",
            "where the evidence was retrieved",
            "What training taught (bits",
            "Control arms",
            "not measured: items name no gold passages",
            "Retrieval and the adapter add up",
            "2 leaks among 60 test items",
        ):
            assert title in said, title


def test_every_chart_gives_its_data(drawn: str) -> None:
    with page("benchmark", run=drawn) as test:
        drawings = test.get("vega_lite_chart") or test.get("arrow_vega_lite_chart")
        assert len(drawings) == 6
        assert [one.label for one in test.expander].count("Its data") == 6
        assert len(test.get("download_button")) == 6


def test_items_that_turned_are_shown_with_both_answers_as_text(drawn: str) -> None:
    with page("benchmark", run=drawn) as test:
        contrast = next(one for one in test.selectbox if one.label == "Contrast")
        contrast.select(next(one for one in contrast.options if one.startswith("lora over prompt")))
        said = words(ran(test))
        assert "where is my parcel?" in said
        assert "fixed, +100.0 points" in said
        assert "I would be glad to help!" in [one.value for one in test.code]
        test.segmented_control[0].set_value("broken")
        assert "fixed, +" not in words(ran(test))


def test_labels_that_were_mixed_up_are_counted(drawn: str) -> None:
    with page("benchmark", run=drawn) as test:
        arm = next(one for one in test.selectbox if one.label == "Arm")
        arm.select("lora")
        tables = [one.value for one in ran(test).dataframe]
        (counted,) = [table for table in tables if "answered" in table.columns]
        assert counted["answers"].sum() == 60


def test_reports_are_downloaded_as_json_and_as_a_page(drawn: str) -> None:
    with page("benchmark", run=drawn) as test:
        test.toggle[0].set_value(True)
        labels = [named(one) for one in ran(test).get("download_button")]
        assert labels[:2] == ["report.json", "report.html"]


def test_a_report_of_another_version_is_not_drawn_but_can_be_taken_along(run: str) -> None:
    Path(HOME / "runs" / run / "report.json").write_text('{"schema_version": "9.0"}')
    with page("benchmark", run=run) as test:
        assert "Another version of rag-adapt wrote this report" in words(test)
        assert [one.label for one in test.toggle] == ["Downloads"]


def test_an_unfinished_run_shows_no_figure(run: str) -> None:
    header = HOME / "runs" / run / "run.json"
    header.write_text(header.read_text().replace('"complete"', '"running"'))
    with page("benchmark", run=run) as test:
        assert "there is no verdict before its end" in words(test)
        assert not test.metric
        assert not test.dataframe


def test_past_runs_are_listed_opened_and_compared(run: str) -> None:
    newer = f"9{run}"
    shutil.copytree(HOME / "runs" / run, HOME / "runs" / newer)
    with page("benchmark") as test:
        assert [one.key for one in test.button if one.label == "Read"] == [
            f"read-{newer}",
            f"read-{run}",
        ]
        button(test, "Compare").click()
        said = words(ran(test))
        assert f"{newer} minus {run}" in said
        assert list(test.dataframe[0].value["arm"]) == ["prompt", "rag"]
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
        assert other not in str([one.key for one in test.button])
        button(test, "Watch").click()
        until(test, lambda t: "Running for" in words(t))
        assert test.query_params["job"] == job
        button(test, "Cancel").click()
        until(test, lambda t: "It was cancelled" in words(t))
