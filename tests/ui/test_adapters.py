"""The page Adapters over the real service: trained, opened, proven, chosen, held, deleted."""

from collections.abc import Iterator
from typing import Any

import pytest

from rag_adapt.adapters.store import AdapterStore
from rag_adapt.api.desk import Desk
from rag_adapt.engines.lifecycle import Lifecycle
from rag_adapt.engines.scripted import ScriptedEngine
from tests.api.parts import app_of, listening
from tests.api.test_adapters import LOCAL, two_versions
from tests.api.test_residence import Backend, served, versions
from tests.api.working import idle_desk
from tests.jobs.running import STAND_IN
from tests.serving.parts import HOME, imported, service
from tests.ui.parts import button, page, ran, until, words
from ui.connection import ADDRESS

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


def test_an_adapter_is_shown_by_its_card_and_made_current(address: str) -> None:
    old, new = two_versions()
    with page("adapters") as test:
        assert "current, " in words(test)
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


def test_a_proof_is_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    (_, new), desk = two_versions(), idle_desk()
    with listening(app_of(service(ScriptedEngine()), desk=desk)) as url:
        monkeypatch.setenv(ADDRESS, url)
        with page("adapters", adapter=new) as test:
            button(test, "Prove").click()
            ran(test)
            assert desk.jobs.get(test.query_params["job"]).argv[:2] == ("adapters", "prove")


def test_the_engine_loads_pins_and_lets_go(
    monkeypatch: pytest.MonkeyPatch, versions: tuple[str, str]
) -> None:
    async def prove(version: str) -> None:
        assert version == versions[1]

    adapters: Any = Lifecycle(Backend(), AdapterStore(HOME).get, prove)
    with listening(app_of(served(adapters), desk=idle_desk())) as url:
        monkeypatch.setenv(ADDRESS, url)
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


def test_an_adapter_that_is_not_there_is_said(address: str) -> None:
    with page("adapters", adapter="ghost@000000000000") as test:
        assert "ghost@000000000000" in words(test)
