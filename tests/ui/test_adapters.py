"""The page Adapters over the real service: trained, uploaded, compared, proven, held, deleted."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from rag_adapt.adapters.card import DevPoint
from rag_adapt.adapters.said import StepFigures, note_of
from rag_adapt.adapters.store import AdapterStore
from rag_adapt.api.desk import Desk
from rag_adapt.bench.proof import Check, conclude
from rag_adapt.engines.lifecycle import Lifecycle
from rag_adapt.engines.scripted import ScriptedEngine
from rag_adapt.jobs.job import log_path, output_path
from rag_adapt.schemas.jobs import Progress
from tests.adapters.samples import card
from tests.api.parts import app_of, listening
from tests.api.test_adapters import LOCAL, two_versions
from tests.api.test_residence import Backend, served, versions
from tests.api.working import idle_desk
from tests.jobs.running import STAND_IN
from tests.serving.parts import HOME, imported, service
from tests.ui.parts import button, page, ran, unfolded, until, words
from tests.ui.still import still_desk
from ui.adapter_compare import FACT, curves, facts
from ui.adapter_page import ASKED
from ui.connection import ADDRESS
from ui.job_watch import stage_of
from ui.wording import NOTHING

__all__ = ["versions"]


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """A service on the embedded engine; a stand-in takes the place of its commands."""
    desk = Desk.of(LOCAL, program=STAND_IN)
    with listening(app_of(service(ScriptedEngine()), desk=desk)) as url:
        monkeypatch.setenv(ADDRESS, url)
        yield desk


def test_an_empty_home_says_what_to_do_next(address: str) -> None:
    with page("adapters") as test:
        assert "No adapter yet." in words(test)


def test_a_training_becomes_a_job_that_is_watched(training: Desk) -> None:
    imported()
    with page("adapters") as test:
        next(one for one in test.selectbox if one.label == "Skill").select("colours")
        button(test, "Train").click()
        ran(test)
        job = training.jobs.get(test.query_params["job"])
        assert job.argv[:2] == ("adapters", "train")
        assert "--rank=8" in job.argv
        assert job.argv[-1] == "colours"
        until(test, lambda t: "Finished." in words(t) or "It failed." in words(t))


def test_what_cannot_be_trained_is_said_beside_the_form(address: str) -> None:
    imported()
    with page("adapters") as test:
        next(one for one in test.selectbox if one.label == "Skill").select("colours")
        button(test, "Train").click()
        assert "scripted" in words(ran(test))
        assert "job" not in test.query_params


def training_job(desk: Desk, *steps: tuple[int, float | None, float | None]) -> str:
    """A training that runs, and has said so much."""
    job = desk.jobs.submit(["adapters", "train", "--json", "--", "colours"])
    desk.jobs.claim()
    lines = [
        {
            "stage": "train",
            "done": step,
            "total": 10,
            "note": note_of(StepFigures(loss=loss, bits=bits)),
        }
        for step, loss, bits in steps
    ]
    log = log_path(desk.jobs.folder, job.id)
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return job.id


def figures(test: AppTest) -> dict[str, str]:
    """Metrics by their names."""
    return {one.label: str(one.value) for one in test.metric}


def test_a_training_shows_its_curve_while_it_goes_on_and_after_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = still_desk(LOCAL)
    early = training_job(desk)
    with listening(app_of(service(ScriptedEngine()), desk=desk)) as url:
        monkeypatch.setenv(ADDRESS, url)
        with page("adapters", job=early) as test:
            assert "The curve begins with the first step" in words(test)
            desk.jobs.finish(early, "failed", exit_code=1)
        job = training_job(desk, (0, None, 4.0), (1, 3.0, 4.0), (2, 2.5, 1.25))
        for state in ("running", "done"):
            with page("adapters", job=job) as test:
                assert "Loss and held-out code length by step" in words(test)
                assert figures(test) == {
                    "Steps": "2 of 10",
                    "Loss": "3.61 bits",
                    "Held out, before": "4.00 bits",
                    "Held out, now": "1.25 bits",
                }
                (data,) = [one.value for one in unfolded(test).dataframe]
                assert list(data["step"]) == [1, 2, 0, 2]
                assert list(data["value"]) == [4.3281, 3.6067, 4.0, 1.25]
            if state == "running":
                desk.jobs.finish(job, "done", exit_code=0)


def test_a_stage_says_how_far_it_is_and_a_full_bar_what_it_waits_for() -> None:
    told = Progress(stage="train", done=2, total=10, note="")
    assert stage_of(told) == "train: 2 of 10"
    assert stage_of(told.model_copy(update={"note": "dev"})) == "train: 2 of 10, dev"
    assert stage_of(told.model_copy(update={"done": 10})) == "train: 10 of 10; what follows begins"
    assert stage_of(told.model_copy(update={"done": 0, "total": 0})) == "train: 0 of 0"


def test_an_adapter_is_shown_by_its_card_and_made_current(address: str) -> None:
    old, new = two_versions()
    with page("adapters") as test:
        assert "current" in words(test)
        test.button(key=f"open-{old}").click()
        said = words(ran(test))
        assert test.query_params["adapter"] == old
        assert "for colours" in said
        assert "Loss and held-out code length by step" in said
        assert "holds no adapters by itself" in said
        assert "Current: " not in said
        button(test, "Make current").click()
        assert "Current: " in words(ran(test))
    store = AdapterStore(HOME)
    assert store.current(new.partition("@")[0]) == old


def test_cards_are_compared_side_by_side_by_what_differs(address: str) -> None:
    old, new = two_versions()
    with page("adapters") as test:
        button(test, "Compare side by side").click()
        assert "Choose two at least." in words(ran(test))
        test.multiselect[0].set_value([old, new])
        button(test, "Compare side by side").click()
        ran(test)
        assert test.query_params["compare"] == f"{old},{new}"
        assert "None of them was measured on held-out items while it learnt." in words(test)
        test.toggle[0].set_value(False)
        every = ran(test).dataframe[0].value
        assert list(every.columns) == [FACT, old, new]
        assert {"rank", "bits held out, after"} <= set(every[FACT])


def test_facts_that_are_the_same_are_left_out() -> None:
    one = card("one")
    two = one.model_copy(update={"version": "two@0", "seconds": 90.0, "dev_bits_after": None})
    rows = facts([one, two], only_differing=True)
    assert [row[FACT] for row in rows] == ["bits held out, after", "training"]
    assert rows[0]["two@0"] == NOTHING
    assert curves([one.model_copy(update={"dev_curve": ()})]) is None
    learnt = one.model_copy(
        update={"dev_bits_before": 4.0, "dev_curve": (DevPoint(step=8, bits=1.5),)}
    )
    drawn = curves([learnt, two.model_copy(update={"dev_curve": ()})])
    assert drawn is not None
    assert [(row["adapter"], row["step"], row["bits"]) for row in drawn.rows] == [
        (one.version, 0, 4.0),
        (one.version, 8, 1.5),
    ]


def test_an_upload_is_checked_before_it_becomes_a_job(address: str) -> None:
    imported()
    with page("adapters") as test:
        button(test, "Upload").click()
        assert "Choose one archive or the two files" in words(ran(test))
        test.file_uploader[0].set_value([("mine.zip", b"PK", "application/zip")])
        next(one for one in test.text_input if one.label == "Name of the adapter").set_value("mine")
        button(test, "Upload").click()
        said = words(ran(test))
        assert "That did not work" in said
        assert "scripted" in said


def test_deleting_asks_first_and_twice_for_the_current_one(address: str) -> None:
    old, new = two_versions()
    with page("adapters", adapter=old) as test:
        assert not test.checkbox
        button(test, "Delete for good").click()
        ran(test)
        assert "adapter" not in test.query_params
    with page("adapters", adapter=new) as test:
        assert button(test, "Delete for good").disabled
        test.checkbox[0].check()
        button(ran(test), "Delete for good").click()
        assert "No adapter yet." in words(ran(test))


def test_a_proof_is_a_job_that_shows_what_it_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    (_, new), desk = two_versions(), idle_desk()
    far = Check(name="canary", passed=True, detail="0.34119 from the base", figure=0.34119)
    other = Check(name="parity", passed=False, detail="too far", figure=float("inf"))
    with listening(app_of(service(ScriptedEngine()), desk=desk)) as url:
        monkeypatch.setenv(ADDRESS, url)
        for checks, code, said in (
            ([far], 0, "Proven: the adapter is active here."),
            ([far, other], 1, "It failed."),
        ):
            with page("adapters", adapter=new) as test:
                button(test, "Prove").click()
                ran(test)
                job = test.query_params["job"]
                assert desk.jobs.get(job).argv[:2] == ("adapters", "prove")
                desk.jobs.claim()
                proof = {"version": new, **asdict(conclude(checks))}
                output_path(desk.jobs.folder, job).write_text(json.dumps(proof))
                desk.jobs.finish(job, "failed" if code else "done", exit_code=code)
                shown = words(ran(test))
                assert said in shown
                assert shown.count(ASKED["canary"]) == shown.count("0.3412 nats/token") == 1
                assert "0.34119 from the base" in shown
                assert shown.count(ASKED["parity"]) == shown.count("failed]") == len(checks) - 1


def test_the_engine_loads_pins_and_lets_go(
    monkeypatch: pytest.MonkeyPatch, versions: tuple[str, str]
) -> None:
    async def prove(version: str) -> None:
        assert version == versions[1]

    adapters: Any = Lifecycle(Backend(), AdapterStore(HOME).get, prove)
    with listening(app_of(served(adapters), desk=idle_desk())) as url:
        monkeypatch.setenv(ADDRESS, url)
        with page("adapters") as test:
            assert "The engine holds 0 adapters at this moment." in words(test)
        with page("adapters", adapter=versions[1]) as test:
            assert "The engine does not hold it." in words(test)
            for press, said in (
                ("Load", "The engine holds it;"),
                ("Pin", "The engine holds it, pinned;"),
                ("Unpin", "The engine holds it;"),
                ("Unload", "The engine does not hold it."),
            ):
                button(test, press).click()
                assert said in words(ran(test))
                if press == "Pin":
                    with page("adapters") as overview:
                        assert "pinned in the engine" in words(overview)


def test_an_adapter_that_is_not_there_is_said(address: str) -> None:
    with page("adapters", adapter="ghost@000000000000") as test:
        assert "ghost@000000000000" in words(test)
