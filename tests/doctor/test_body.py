"""Python, processor, memory, disk, GPU, number format, port."""

import socket
from pathlib import Path
from typing import Any

import pytest

from rag_adapt.doctor import body
from rag_adapt.doctor.finding import Check
from tests.doctor.parts import CUDA, only, patient, seen

H200 = ("NVIDIA H200",)
CASES: dict[str, tuple[Check, dict[str, Any], dict[str, Any], str, str]] = {
    "python": (body.python, {}, {}, "ok", "3.11.7"),
    "old python": (body.python, {"python": (3, 10, 4)}, {}, "fault", "3.10.4"),
    "next python": (body.python, {"python": (3, 14, 0)}, {}, "ok", "3.14.0"),
    "cores": (body.cores, {}, {}, "ok", "2 cores"),
    "half a core": (body.cores, {"cores": 0.5}, {}, "warning", "0.5 core"),
    "memory": (body.memory, {}, {"engine": "embedded"}, "ok", "8.0 GB"),
    "little memory": (
        body.memory,
        {"memory": 3_000_000_000},
        {"engine": "embedded"},
        "warning",
        "3.0 GB",
    ),
    "no memory": (body.memory, {"memory": 9_000_000}, {"engine": "embedded"}, "fault", "0.0 GB"),
    "no memory needed": (body.memory, {"memory": 9_000_000}, {"engine": "remote"}, "ok", "0.0"),
    "unknown memory": (body.memory, {"memory": None}, {}, "warning", "does not say"),
    "no torch": (body.gpu, {"torch": None}, {}, "fault", "not installed"),
    "no gpu": (body.gpu, {}, {}, "ok", "no GPU"),
    "a gpu that is asked for and not there": (
        body.gpu,
        {"torch": CUDA},
        {"device": "cuda"},
        "fault",
        "no NVIDIA driver",
    ),
    "a gpu that torch cannot use": (body.gpu, {"gpus": H200}, {}, "warning", "cannot use it"),
    "a gpu that torch must use": (
        body.gpu,
        {"gpus": H200},
        {"device": "cuda"},
        "fault",
        "cannot use it",
    ),
    "a gpu": (body.gpu, {"gpus": H200, "torch": CUDA, "driver": 580}, {}, "ok", "H200"),
    "an old driver": (
        body.gpu,
        {"gpus": H200, "torch": CUDA, "driver": 550},
        {},
        "fault",
        "550 is older than 580",
    ),
    "a gpu that is not wanted": (
        body.gpu,
        {"gpus": H200},
        {"device": "cpu"},
        "ok",
        "unused",
    ),
    "bfloat16": (body.number_format, {}, {"engine": "embedded"}, "ok", "bfloat16"),
    "float32": (
        body.number_format,
        {"processor": frozenset({"avx2"})},
        {"engine": "embedded"},
        "warning",
        "float32",
    ),
    "float32 by wish": (
        body.number_format,
        {},
        {"engine": "embedded", "deterministic": True},
        "ok",
        "deterministic",
    ),
    "another computer's format": (
        body.number_format,
        {"processor": frozenset()},
        {"engine": "remote"},
        "ok",
        "does not matter",
    ),
}


@pytest.mark.parametrize(
    ("check", "machine", "settings", "state", "named"), CASES.values(), ids=CASES
)
def test_what_a_machine_has_or_lacks_is_judged(
    check: Check, machine: dict[str, Any], settings: dict[str, Any], state: str, named: str
) -> None:
    said = only(check, patient(machine=machine, **settings))
    assert said.state == state
    assert named in said.what
    assert bool(said.remedy) is (state != "ok")


@pytest.mark.parametrize(
    ("free", "state"), [(50_000_000_000, "ok"), (2_000_000_000, "warning"), (1_000_000, "fault")]
)
def test_a_full_disk_is_named_with_the_folder_and_its_setting(free: int, state: str) -> None:
    said = seen(body.disk, patient(machine={"free_disk": lambda _: free}))
    assert [each.state for each in said] == [state, state]
    if state != "ok":
        assert "RAG_ADAPT_HOME" in said[0].remedy
        assert "RAG_ADAPT_INDEXES" in said[1].remedy


def test_the_disk_of_a_folder_that_is_not_there_yet_is_that_of_the_one_above(
    tmp_path: Path,
) -> None:
    asked: list[Path] = []

    def free(folder: Path) -> int:
        asked.append(folder)
        return 50_000_000_000

    seen(body.disk, patient(home=tmp_path / "a" / "b", machine={"free_disk": free}))
    assert asked == [tmp_path, tmp_path]


def test_a_taken_port_is_named_with_the_process_that_has_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        said = only(body.port, patient(port=number))
    assert said.state == "warning"
    assert f"port {number}" in said.what
    assert "process" in said.what
    assert "--port 0" in said.remedy
    assert only(body.port, patient(port=number)).state == "ok"
