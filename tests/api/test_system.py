"""`/v1/system`: what the doctor says, asked for as often as anybody likes."""

import asyncio
import threading
import time
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from rag_adapt import __version__
from rag_adapt.api import system as endpoints
from rag_adapt.api.checkup import Checkup, Examined, StillLookingError
from rag_adapt.api.desk import Desk
from rag_adapt.doctor.examine import CHECKS
from rag_adapt.doctor.finding import Finding
from rag_adapt.keys.store import KeyStore
from rag_adapt.schemas.system import SystemInfo
from rag_adapt.settings import Settings
from tests.api.parts import SETTINGS, app_of, client_of
from tests.serving.parts import HOME

FOUND = (Finding(name="cores", state="ok", what="2 cores"),)


class Looks:
    """An examination that counts, and takes as long as a test wants."""

    def __init__(self) -> None:
        self.count = 0
        self.may_end = threading.Event()
        self.may_end.set()

    def __call__(self) -> Examined:
        self.count += 1
        self.may_end.wait(30)
        return Examined(findings=FOUND, versions={}, at=time.time())


def test_it_says_what_the_doctor_says_but_for_its_own_port() -> None:
    response = client_of().get("/v1/system")
    said = SystemInfo.model_validate(response.json())
    assert said.healthy
    assert {finding.name for finding in said.findings} == set(CHECKS) - {"port"}
    assert said.versions["rag-adapt"] == __version__
    assert {"python", "torch", "chromadb"} <= set(said.versions)
    assert (said.engine.engine, said.engine.model) == ("scripted", "scripted")
    assert 0 <= said.uptime < 60
    assert abs(said.checked - time.time()) < 60


def test_a_fault_comes_with_its_remedy() -> None:
    broken = HOME / "skills" / "broken"
    broken.mkdir(parents=True)
    said = SystemInfo.model_validate(client_of().get("/v1/system").json())
    assert not said.healthy
    (fault,) = [finding for finding in said.findings if finding.state == "fault"]
    assert fault.name == "skills"
    assert fault.remedy.startswith("rag-adapt skills check")


def test_secrets_of_the_settings_are_not_told() -> None:
    settings = SETTINGS.model_copy(
        update={
            "engine": "remote",
            "api_base": "http://user:hunter2@127.0.0.1:9/v1",
            "api_key": Settings(api_key="sk-hunter2").api_key,  # type: ignore[arg-type]
        }
    )
    response = client_of(desk=Desk.of(settings)).get("/v1/system")
    assert response.status_code == 200
    assert "does not answer" in response.text
    assert "hunter2" not in response.text


def test_it_is_for_admins_alone() -> None:
    client = client_of()
    store = KeyStore(HOME)
    for scope in ("chat", "bench"):
        token = store.create(scope, scope).token.reveal()
        refused = client.get("/v1/system", headers={"Authorization": f"Bearer {token}"})
        assert (refused.status_code, refused.json()["code"]) == (403, "scope")


def test_findings_are_told_again_while_they_are_fresh() -> None:
    looks = Looks()
    checkup = Checkup(looks, fresh=0.2)

    async def ask() -> list[int]:
        first = await checkup.ask()
        again = await checkup.ask()
        assert again is first
        await asyncio.sleep(0.25)
        await checkup.ask()
        return [looks.count]

    assert asyncio.run(ask()) == [2]


def test_all_who_ask_at_once_get_one_examination() -> None:
    looks = Looks()
    checkup = Checkup(looks)

    async def ask() -> None:
        await asyncio.gather(*(checkup.ask() for _ in range(50)))

    asyncio.run(ask())
    assert looks.count == 1


def test_nobody_waits_for_ever_and_the_next_finds_it_done() -> None:
    looks = Looks()
    looks.may_end.clear()
    checkup = Checkup(looks, patience=0.05)

    async def ask() -> int:
        for _ in range(3):
            with pytest.raises(StillLookingError, match="is being examined"):
                await checkup.ask()
        looks.may_end.set()
        await asyncio.sleep(0.2)
        return len((await checkup.ask()).findings)

    assert asyncio.run(ask()) == 1
    assert looks.count == 1


def test_an_examination_that_breaks_is_tried_again() -> None:
    calls = []

    def look() -> Examined:
        calls.append(1)
        if len(calls) == 1:
            raise OSError("no such device")
        return Examined(findings=FOUND, versions={}, at=0.0)

    checkup = Checkup(look)

    async def ask() -> None:
        with pytest.raises(OSError, match="no such device"):
            await checkup.ask()
        assert (await checkup.ask()).findings == FOUND

    asyncio.run(ask())


def test_a_slow_examination_is_a_problem_that_may_be_asked_again() -> None:
    app, looks = app_of(), Looks()
    looks.may_end.clear()
    app.state.checkup = Checkup(looks, patience=0.05)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        response = client.get("/v1/system")
        looks.may_end.set()
    assert (response.status_code, response.json()["code"]) == (503, "still-looking")
    assert response.headers["Retry-After"]


def test_nothing_is_left_behind(own_folder: Path) -> None:
    client = client_of()
    before = set(own_folder.rglob("*"))
    assert client.get("/v1/system").status_code == 200
    assert set(own_folder.rglob("*")) == before


def test_the_example_is_valid() -> None:
    assert SystemInfo.model_validate(endpoints.SYSTEM)
