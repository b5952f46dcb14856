"""`rag-adapt serve` as a process: one command, an address, and an end by Ctrl-C."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from openai import OpenAI

from rag_adapt.cli.app import run

QUICK = {"RAG_ADAPT_ENGINE": "scripted", "RAG_ADAPT_EMBEDDER": "hashing"}


@contextmanager
def serving(*flags: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The command on a free port; hands out its address once it says that it is ready."""
    command = [sys.executable, "-m", "rag_adapt", "serve", "--port", "0", *flags]
    process = subprocess.Popen(
        command,
        env={**os.environ, **QUICK},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"Ready at (\S+)", line)
        assert found, (line, process.poll())
        yield found[1], process
    finally:
        process.kill()
        process.communicate()


def test_serve_prints_its_address_answers_and_ends_with_ctrl_c(own_folder: Path) -> None:
    with serving() as (url, process):
        with OpenAI(base_url=url, api_key="none", max_retries=0) as client:
            answer = client.chat.completions.create(
                model="route:prompt/past-tense", messages=[{"role": "user", "content": "walk"}]
            )
        assert answer.choices[0].message.content
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=20)
        assert (process.returncode, out, error) == (0, "Stopped.\n", "")


def test_a_port_that_is_taken_is_said_before_anything_is_loaded(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in QUICK.items():
        monkeypatch.setenv(name, value)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run(["serve", "--port", str(port)]) == 2
    error = capsys.readouterr().err
    assert f"cannot listen on '127.0.0.1', port {port}" in error
    assert "rag-adapt serve --port 0" in error


def test_beyond_loopback_it_does_not_start_without_a_key(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["serve", "--host", "0.0.0.0", "--port", "0"]) == 2
    assert "rag-adapt keys create NAME --scope chat" in capsys.readouterr().err
