"""A vLLM process of our own: started with what it needs, ended with all it started."""

import json
import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from rag_adapt.core.errors import EngineError, MissingPackageError, SettingsError, UserError
from rag_adapt.core.protocols import Silent
from rag_adapt.engines.vllm_looks import healthy, in_flight, release_of
from rag_adapt.engines.vllm_server import (
    RESOLVERS,
    Running,
    VllmServer,
    plan_for,
)
from tests.engines.fake_process import FakeProcess, free_port, plan
from tests.engines.fake_vllm import serving

WHY = "a training has the GPU"


class Notes:
    """Progress that is kept."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, int, int]] = []

    def update(self, stage: str, done: int, total: int, note: str = "") -> None:
        self.stages.append((stage, done, total))


@pytest.fixture
def vllm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeProcess:
    folder = tmp_path / "environment"
    folder.mkdir()
    return FakeProcess(folder, monkeypatch)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[VllmServer]:
    """One that nothing is left of."""
    made = VllmServer(tmp_path / "home", stop_seconds=5)
    yield made
    made.stop()


def write_record(server: VllmServer, running: Running) -> None:
    """As a start by somebody else would leave it."""
    server.folder.mkdir(parents=True, exist_ok=True)
    (server.folder / "server.json").write_text(json.dumps(asdict(running)))


def a_record(**more: object) -> Running:
    fields = {
        "pid": os.getpid(),
        "created": 0.0,  # so that it is no process that lives
        "api_base": "http://127.0.0.1:1/v1",
        "api_key": "secret",
        "log": "log",
        "plan": plan(),
    }
    return Running(**{**fields, **more})  # type: ignore[arg-type]


def test_it_is_started_watched_until_healthy_and_ended(
    server: VllmServer, vllm: FakeProcess
) -> None:
    notes = Notes()
    running = server.start(plan(), notes)
    assert healthy(running.api_base)
    assert release_of(running.api_base) == "0.33.0"
    assert ("start vLLM", 0, 900) in notes.stages
    assert server.running() == server.record() == running
    assert server.stop()
    assert not psutil.pid_exists(running.pid)
    assert not healthy(running.api_base)
    assert (server.record(), server.running(), server.stop()) == (None, None, False)


def test_it_listens_on_loopback_with_a_key_that_no_flag_shows(
    server: VllmServer, vllm: FakeProcess
) -> None:
    running = server.start(plan(), Silent())
    flags = vllm.seen["argv"]
    assert flags[flags.index("--host") + 1] == "127.0.0.1"
    assert vllm.seen["environment"]["VLLM_API_KEY"] == running.api_key
    assert running.api_key not in " ".join(flags)
    assert running.api_key not in server.log.read_text()
    assert running.api_base == f"http://127.0.0.1:{running.plan.port}/v1"


def test_variables_that_let_a_request_name_a_folder_are_not_handed_on(
    server: VllmServer, vllm: FakeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in RESOLVERS:
        monkeypatch.setenv(name, "/somewhere")
    monkeypatch.setenv("OURS", "kept")
    server.start(plan(), Silent())
    environment = vllm.seen["environment"]
    assert not set(RESOLVERS) & environment.keys()
    assert environment["OURS"] == "kept"
    assert environment["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "True"


def test_the_record_is_readable_by_its_owner_alone(server: VllmServer, vllm: FakeProcess) -> None:
    server.folder.mkdir(parents=True)
    (server.folder / "server.json.new").touch(mode=0o644)  # what a killed process left
    server.start(plan(), Silent())
    file = server.folder / "server.json"
    assert file.stat().st_mode & 0o777 == 0o600


def test_one_that_runs_already_is_not_started_again(server: VllmServer, vllm: FakeProcess) -> None:
    first = server.start(plan(), Silent())
    assert server.start(plan(), Silent()) == first


def test_one_that_died_is_started_again_with_its_key(server: VllmServer, vllm: FakeProcess) -> None:
    first = server.start(plan(), Silent())
    psutil.Process(first.pid).kill()
    psutil.Process(first.pid).wait(60)
    assert server.running() is None
    second = server.start(first.plan, Silent())
    assert second.pid != first.pid
    assert (second.api_key, second.api_base) == (first.api_key, first.api_base)


def test_one_that_ends_is_quoted_and_nothing_is_left(server: VllmServer, vllm: FakeProcess) -> None:
    vllm.will("ends")
    with pytest.raises(EngineError, match="ended with status 3: ValueError: no memory") as caught:
        server.start(plan(), Silent())
    assert str(server.log) in caught.value.hint
    assert server.record() is None


def test_one_that_ends_without_a_word_is_said_to(server: VllmServer, vllm: FakeProcess) -> None:
    vllm.will("silent")
    with pytest.raises(EngineError, match="ended with status 4: it printed nothing"):
        server.start(plan(), Silent())


def test_one_that_never_gets_healthy_is_ended(server: VllmServer, vllm: FakeProcess) -> None:
    vllm.will("never")
    before = set(psutil.Process().children())
    with pytest.raises(EngineError, match=r"not healthy within 0.6 s"):
        server.start(plan(), Silent(), seconds=0.6)
    assert server.record() is None
    assert set(psutil.Process().children()) <= before


def test_a_port_that_is_taken_is_the_users_to_change(server: VllmServer, vllm: FakeProcess) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as sock,
        pytest.raises(SettingsError, match="is taken") as caught,
    ):
        server.start(plan(port=sock.getsockname()[1]), Silent())
    assert "--port" in caught.value.hint
    assert server.record() is None


def test_an_interpreter_without_vllm_is_told_how_to_get_it(
    server: VllmServer, tmp_path: Path
) -> None:
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -I -S "$@"\n')
    bare.chmod(0o755)
    with pytest.raises(MissingPackageError, match="has no vLLM") as caught:
        server.start(plan(python=str(bare)), Silent())
    assert "RAG_ADAPT_VLLM_PYTHON" in caught.value.hint


def test_an_interpreter_that_is_none_is_a_setting_to_correct(server: VllmServer) -> None:
    with pytest.raises(UserError, match="cannot be run") as caught:
        server.start(plan(python="/nowhere/python"), Silent())
    assert "RAG_ADAPT_VLLM_PYTHON" in caught.value.hint


def test_what_it_started_ends_with_it(tmp_path: Path, vllm: FakeProcess) -> None:
    vllm.will("family")
    server = VllmServer(tmp_path / "home", stop_seconds=0.5)
    server.start(plan(), Silent())
    child = psutil.Process(vllm.child)
    server.stop()
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_a_process_that_got_the_number_later_is_not_touched(server: VllmServer) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        created = psutil.Process(stranger.pid).create_time() - 100
        write_record(server, a_record(pid=stranger.pid, created=created))
        assert server.running() is None
        assert not server.stop()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_record_that_cannot_be_read_is_none(server: VllmServer) -> None:
    server.folder.mkdir(parents=True)
    for text in ("", "[]", "{}", '{"plan": {}}', json.dumps({"plan": 1, "pid": 2})):
        (server.folder / "server.json").write_text(text)
        assert server.record() is None
        assert server.away() is None


def test_a_pause_drains_ends_and_starts_again_with_the_same_key(
    server: VllmServer, vllm: FakeProcess
) -> None:
    first = server.start(plan(gpu=True), Silent())
    vllm.is_busy(2, 1)
    notes = Notes()
    with server.paused(WHY, notes):
        assert [row for row in notes.stages if row[0] == "vLLM: drain"] == [
            ("vLLM: drain", 0, 2),
            ("vLLM: drain", 0, 1),
        ]
        assert not psutil.pid_exists(first.pid)
        assert server.away() == WHY
    second = server.running()
    assert second is not None
    assert second.pid != first.pid
    assert replace(second, pid=first.pid, created=first.created) == first
    assert vllm.seen["environment"]["VLLM_API_KEY"] == first.api_key
    assert (server.away(), healthy(second.api_base)) == (None, True)


def test_it_is_away_until_it_is_healthy_again(server: VllmServer, vllm: FakeProcess) -> None:
    class Looking(Notes):
        def update(self, stage: str, done: int, total: int, note: str = "") -> None:
            if stage == "start vLLM":
                seen.append(server.away())

    seen: list[str | None] = []
    server.start(plan(gpu=True), Silent())
    with server.paused(WHY, Looking()):
        """A training."""
    assert set(seen) == {WHY}
    assert server.away() is None


def test_what_took_it_down_and_was_killed_holds_nobody_up(server: VllmServer) -> None:
    us = psutil.Process()
    record = a_record(away=WHY, by=us.pid, by_created=us.create_time())
    write_record(server, record)
    assert server.away() == WHY
    write_record(server, replace(record, by_created=us.create_time() - 100))
    assert server.away() is None


def test_a_drain_does_not_last_for_ever(tmp_path: Path, vllm: FakeProcess) -> None:
    server = VllmServer(tmp_path / "home", drain_seconds=0.1)
    server.start(plan(gpu=True), Silent())
    vllm.is_busy(*[1] * 100)
    with server.paused(WHY, Silent()):
        assert server.running() is None
    server.stop()


def test_after_an_error_in_a_pause_it_is_started_again(
    server: VllmServer, vllm: FakeProcess
) -> None:
    server.start(plan(gpu=True), Silent())
    with pytest.raises(ZeroDivisionError), server.paused(WHY, Silent()):
        raise ZeroDivisionError
    assert server.running() is not None
    assert server.away() is None


def test_one_that_cannot_be_started_again_is_no_longer_away_on_purpose(
    server: VllmServer, vllm: FakeProcess
) -> None:
    server.start(plan(gpu=True), Silent())
    with pytest.raises(EngineError, match="ended with status 3"), server.paused(WHY, Silent()):
        vllm.will("ends")
    assert server.away() is None


def test_a_port_that_was_taken_in_the_pause_leaves_nobody_waiting(
    server: VllmServer, vllm: FakeProcess
) -> None:
    port = free_port()
    server.start(plan(gpu=True, port=port), Silent())
    with pytest.raises(SettingsError, match="is taken"), server.paused(WHY, Silent()):
        other = socket.create_server(("127.0.0.1", port))
    other.close()
    assert server.away() is None


def test_a_server_that_dies_in_its_drain_is_started_again(
    server: VllmServer, vllm: FakeProcess
) -> None:
    class Deadly(Notes):
        def update(self, stage: str, done: int, total: int, note: str = "") -> None:
            if stage == "vLLM: drain":
                psutil.Process(first.pid).kill()
                psutil.Process(first.pid).wait(60)

    first = server.start(plan(gpu=True), Silent())
    vllm.is_busy(1)
    with server.paused(WHY, Deadly()):
        assert server.running() is None
    assert server.running() is not None


class Killed(Notes):
    """Ends as a training that is told to in the middle of the start after it."""

    def update(self, stage: str, done: int, total: int, note: str = "") -> None:
        if stage == "start vLLM":
            raise KeyboardInterrupt


def test_one_that_was_taken_down_by_somebody_who_was_killed_is_started_again(
    server: VllmServer, vllm: FakeProcess
) -> None:
    first = server.start(plan(gpu=True), Silent())
    assert server.relaunch() is None  # nothing is owed
    us = psutil.Process()
    psutil.Process(first.pid).kill()
    psutil.Process(first.pid).wait(60)
    taken = replace(first, away=WHY, by=us.pid, by_created=us.create_time())
    write_record(server, taken)
    assert server.relaunch() is None  # whoever did it lives, and sees to it
    write_record(server, replace(taken, by_created=us.create_time() - 100))
    second = server.relaunch()
    assert second is not None
    assert server.running() == second
    assert (second.api_key, second.api_base) == (first.api_key, first.api_base)
    assert server.relaunch() is None
    until_healthy(second)


def test_an_interrupted_start_after_a_pause_goes_on(server: VllmServer, vllm: FakeProcess) -> None:
    server.start(plan(gpu=True), Silent())
    with pytest.raises(KeyboardInterrupt), server.paused(WHY, Killed()):
        """A training."""
    running = server.running()
    assert running is not None
    until_healthy(running)


def test_one_that_came_back_unseen_is_no_longer_away(server: VllmServer, vllm: FakeProcess) -> None:
    first = server.start(plan(gpu=True), Silent())
    write_record(server, replace(first, away=WHY, by=first.pid, by_created=1.0))
    assert server.relaunch() is None
    assert server.running() == first


def test_what_cannot_be_started_again_is_tried_once(server: VllmServer, vllm: FakeProcess) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = plan(gpu=True, port=other.getsockname()[1])
        write_record(server, a_record(plan=taken, away=WHY, by=1, by_created=1.0))
        with pytest.raises(SettingsError, match="is taken"):
            server.relaunch()
        assert server.relaunch() is None


def until_healthy(running: Running) -> None:
    end = time.monotonic() + 60
    while not healthy(running.api_base):
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("runs", [True, False], ids=["without a GPU", "with none running"])
def test_a_pause_leaves_what_has_no_gpu_alone(
    server: VllmServer, vllm: FakeProcess, runs: bool
) -> None:
    first = server.start(plan(), Silent()) if runs else None
    with server.paused(WHY, Silent()):
        assert server.running() == first
        assert server.away() is None
    assert server.running() == first


def test_what_is_in_flight_is_what_runs_and_what_waits() -> None:
    with serving(waiting=2) as fake:
        fake.inside["base"] = 1
        assert in_flight(fake.api_base) == 3
        fake.refuse_connections()
        assert in_flight(fake.api_base) == 0


def test_a_release_that_is_not_said_is_none() -> None:
    with serving() as fake:
        assert release_of(fake.api_base) == "0.33.0"
        assert release_of(f"{fake.api_base}/elsewhere") is None
        fake.refuse_connections()
        assert release_of(fake.api_base) is None
    assert release_of("no address") is None


def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    with serving() as fake:
        assert healthy(fake.api_base)


def with_driver(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that has a GPU."""
    driver = folder / "nvidia-smi"
    driver.touch(mode=0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def make(tmp_path: Path, *, longest: int | None = None, **more: object) -> Path:
    folder = tmp_path / "model"
    folder.mkdir(exist_ok=True)
    config = {} if longest is None else {"max_position_embeddings": longest}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize(
    ("gpu", "longest", "asked", "context"),
    [
        (True, 32768, None, 8192),
        (True, 4096, None, 4096),
        (True, None, None, 8192),
        (False, 32768, None, 2048),
        (False, 1024, None, 1024),
        (False, 1024, 512, 512),
    ],
)
def test_the_context_suits_model_and_machine(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    gpu: bool,
    longest: int | None,
    asked: int | None,
    context: int,
) -> None:
    with_driver(tmp_path, monkeypatch)
    model = make(tmp_path, longest=longest)
    made = plan_for(model, python="python", gpu=gpu, port=1, slots=4, max_rank=16, context=asked)
    assert (made.gpu, made.context) == (gpu, context)


def test_a_machine_without_a_gpu_gets_the_cpu_flags(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    model = make(tmp_path)
    made = plan_for(model, python="py", gpu=True, port=8001, slots=20, max_rank=64, context=None)
    assert not made.gpu
    assert "--enforce-eager" in made.argv()
    assert made.environment()["VLLM_CPU_KVCACHE_SPACE"] == "2"
    flags = dict(pairwise(made.argv()))
    assert (flags["--max-loras"], flags["--max-cpu-loras"]) == ("20", "20")
    assert flags["--max-lora-rank"] == "64"


def test_a_gpu_is_left_to_compile() -> None:
    made = plan(gpu=True)
    assert "--enforce-eager" not in made.argv()
    assert "VLLM_CPU_KVCACHE_SPACE" not in made.environment()
    flags = dict(pairwise(made.argv()))
    assert (flags["--max-loras"], flags["--max-cpu-loras"]) == ("4", "16")


def test_what_is_printed_can_be_typed() -> None:
    made = plan(model="/models/a model")
    words = shlex.split(made.printed())
    before = [f"{name}={value}" for name, value in made.environment().items()]
    assert words == [*before, *made.argv()]
