"""The siege counts what went wrong and ends with it; its servers are what they claim to be."""

import asyncio
import json
import tomllib

import pytest
from fastapi.testclient import TestClient

from benchmarks import soak
from benchmarks.besieged import slow_model
from benchmarks.soak import CONFIGURATION, Siege
from tests.api.parts import app_of


def nothing(siege: Siege) -> None:
    """Nothing is done."""
    siege.did("nothing")


def harm(siege: Siege) -> None:
    """Something breaks."""
    siege.check(1 + 1 == 3, "sums are wrong")


@pytest.mark.parametrize(("stage", "code"), [(nothing, 0), (harm, 1)])
def test_a_violation_is_printed_and_ends_the_siege_with_1(
    stage: object, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(soak, "STAGES", {"only": stage})
    assert soak.main([]) == code
    assert ("VIOLATION sums are wrong" in capsys.readouterr().out) == bool(code)


def test_the_checker_is_told_that_a_length_alone_may_be_refused() -> None:
    checks = tomllib.loads(CONFIGURATION)["checks"]
    statuses = checks["negative_data_rejection"]["expected-statuses"]
    assert {"400", "413", "415", "422"} <= set(statuses)
    assert not [status for status in statuses if not status.startswith("4")]


def test_the_checker_is_told_of_operations_that_are_there() -> None:
    named = {each["include-name"] for each in tomllib.loads(CONFIGURATION)["operations"]}
    paths = app_of().openapi()["paths"]
    assert named <= {f"{method.upper()} {path}" for path in paths for method in paths[path]}


def test_the_slow_model_is_never_done_and_counts_who_waits() -> None:
    model = slow_model()
    endpoint = next(route.endpoint for route in model.routes if route.name == "chat")

    class Asking:
        async def json(self) -> dict[str, object]:
            return {"stream": True}

    async def scene() -> tuple[str, object]:
        response = await endpoint(Asking())
        words = response.body_iterator
        first = await anext(words)
        counted = TestClient(model).get("/under-way").json()
        await words.aclose()
        return first, counted

    first, counted = asyncio.run(scene())
    assert json.loads(first.removeprefix("data: "))["choices"][0]["delta"]["content"] == "0 "
    assert counted == 1
    assert TestClient(model).get("/under-way").json() == 0
