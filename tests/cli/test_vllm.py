"""`rag-adapt vllm`."""

import json
import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from rag_adapt.cli.app import run
from rag_adapt.engines.vllm_server import VllmServer, healthy
from tests.engines.fake_process import FakeProcess, free_port


@pytest.fixture
def vllm(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FakeProcess]:
    """An environment whose server is ended at the end."""
    monkeypatch.setenv("RAG_ADAPT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("RAG_ADAPT_MODEL", str(tiny_model))
    monkeypatch.setenv("RAG_ADAPT_DEVICE", "cpu")
    folder = tmp_path / "environment"
    folder.mkdir()
    yield FakeProcess(folder, monkeypatch)
    VllmServer(tmp_path / "home").stop()


Read = pytest.CaptureFixture[str]


def start(*more: str) -> int:
    return run(["vllm", "--start", "--port", str(free_port()), *more])


def test_the_command_for_this_machine_is_printed(
    vllm: FakeProcess, tiny_model: Path, capsys: Read
) -> None:
    assert run(["vllm", "--slots", "2", "--max-rank", "32", "--max-len", "512"]) == 0
    printed = capsys.readouterr().out
    words = shlex.split(printed.splitlines()[0])
    assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True" in words
    flags = dict(pairwise(words))
    assert flags["--model"] == str(tiny_model.resolve())
    assert (flags["--host"], flags["--port"]) == ("127.0.0.1", "8001")
    assert (flags["--max-loras"], flags["--max-lora-rank"]) == ("2", "32")
    assert flags["--max-model-len"] == "512"
    assert "--enforce-eager" in words
    assert "It does not run. `rag-adapt vllm --start`" in printed


def test_the_interpreter_of_vllm_is_a_setting(
    vllm: FakeProcess, monkeypatch: pytest.MonkeyPatch, capsys: Read
) -> None:
    monkeypatch.setenv("RAG_ADAPT_VLLM_PYTHON", "/vllm-env/bin/python")
    assert run(["vllm", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["command"][0] == "/vllm-env/bin/python"


def test_a_program_reads_what_would_be_run(vllm: FakeProcess, capsys: Read) -> None:
    assert run(["vllm", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts.keys() == {"command", "environment", "running", "pid", "api_base", "log"}
    assert facts["running"] is False
    assert (facts["pid"], facts["api_base"], facts["log"]) == (None, None, None)


def test_it_is_started_shown_and_ended(vllm: FakeProcess, tmp_path: Path, capsys: Read) -> None:
    assert start() == 0
    record = VllmServer(tmp_path / "home").record()
    assert record is not None
    assert healthy(record.api_base)
    assert f"vLLM runs at {record.api_base} (process {record.pid};" in capsys.readouterr().out
    assert run(["vllm"]) == 0
    assert "rag-adapt serve --engine vllm" in capsys.readouterr().out
    assert run(["vllm", "--stop"]) == 0
    assert capsys.readouterr().out == "Stopped.\n"
    assert not healthy(record.api_base)
    assert run(["vllm", "--stop"]) == 0
    assert capsys.readouterr().out == "No server of this home runs.\n"


def test_json_holds_no_key(vllm: FakeProcess, tmp_path: Path, capsys: Read) -> None:
    assert start("--json") == 0
    record = VllmServer(tmp_path / "home").record()
    assert record is not None
    printed = capsys.readouterr()
    facts = json.loads(printed.out)
    assert (facts["running"], facts["pid"]) == (True, record.pid)
    assert facts["api_base"] == record.api_base
    assert record.api_key not in printed.out + printed.err
    assert run(["vllm", "--stop", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"stopped": True}


def test_one_that_runs_is_shown_as_it_was_started(vllm: FakeProcess, capsys: Read) -> None:
    assert start("--slots", "2") == 0
    capsys.readouterr()
    assert run(["vllm", "--json", "--slots", "8"]) == 0
    command = json.loads(capsys.readouterr().out)["command"]
    assert command[command.index("--max-loras") + 1] == "2"


def test_one_that_ends_at_once_is_our_fault_with_its_last_words(
    vllm: FakeProcess, capsys: Read
) -> None:
    vllm.will("ends")
    assert start() == 1
    printed = capsys.readouterr().err
    assert "error: vLLM ended with status 3: ValueError: no memory left for the cache" in printed
    assert "server.log" in printed


def test_a_rank_that_vllm_does_not_take_is_the_users_to_correct(
    vllm: FakeProcess, capsys: Read
) -> None:
    assert run(["vllm", "--max-rank", "12"]) == 2
    printed = capsys.readouterr().err
    assert "error: --max-rank 12 is none that vLLM takes" in printed
    assert "try: Take one of 1, 8, 16, 32, 64, 128, 256, 320, 512." in printed


@pytest.mark.parametrize("flags", [["--port", "0"], ["--slots", "0"], ["--max-len", "8"]])
def test_figures_out_of_range_are_refused(vllm: FakeProcess, flags: list[str]) -> None:
    assert run(["vllm", *flags]) == 2
