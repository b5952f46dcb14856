"""The frame of the front end: pages, signing in, a service that is not there."""

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from rag_adapt.cli.app import run
from tests.client.parts import free_port
from tests.ui.parts import APP, page, ran, read, words
from ui.__main__ import flags
from ui.connection import ADDRESS
from ui.plain import JOINER, label


def test_a_service_that_is_not_there_is_named_with_the_command_that_starts_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port = free_port()
    monkeypatch.setenv(ADDRESS, f"http://127.0.0.1:{port}")
    with page() as test:
        assert f"no service answers at http://127.0.0.1:{port}" in words(test)
        assert f"`rag-adapt serve --port {port}`" in words(test)
        assert [read(one.label) for one in test.button] == ["Try again"]


def test_pages_follow_each_other(address: str) -> None:
    with page() as test:
        assert [one.value for one in test.title] == ["Chat"]
        test.switch_page("views/system.py")
        assert [one.value for one in ran(test).title] == ["System"]


def test_the_servers_settings_call_nobody_and_let_no_other_page_in() -> None:
    given = flags("127.0.0.1", 8501)
    assert "--browser.gatherUsageStats=false" in given
    assert "--server.address=127.0.0.1" in given
    assert "--server.port=8501" in given
    assert "--server.fileWatcherType=none" in given
    assert "--runner.magicEnabled=false" in given  # strings in a page's file are not shown
    hosts = [flag for flag in given if flag.startswith("--server.allowedHosts=")]
    assert hosts == [f"--server.allowedHosts={h}" for h in ("127.0.0.1", "localhost", "[::1]")]


def test_other_names_of_the_machine_are_let_in_where_they_are_given() -> None:
    given = flags("0.0.0.0", 80, ["box.lan"])
    assert "--server.allowedHosts=box.lan" in given
    assert "--server.allowedHosts=0.0.0.0" not in given
    assert "--server.corsAllowedOrigins=http://box.lan:80" in given


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain words", "plain words"),
        ("two\nlines\tand\x00more", "two lines and more"),
        ("![x](http://a.invalid)", f"![x](http:{JOINER}//a.invalid)"),
        ("www.a.invalid", f"www{JOINER}.a.invalid"),
        (":material/home: :red[x]", f":{JOINER}material/home: :{JOINER}red[x]"),
        ("x" * 100, "x" * 79 + "…"),
    ],
)
def test_a_label_is_one_line_of_text_without_anything_to_follow(text: str, shown: str) -> None:
    made = label(text)
    assert re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", made) == shown
    assert not re.search(r"[!-/:-@\[-`{-~]", re.sub(r"\.", "", made))


def test_the_command_starts_the_pages_prints_their_address_and_ends_with_us(
    own_folder: Path,
) -> None:
    port = free_port()
    argv = [sys.executable, "-m", "rag_adapt", "ui", "--port", str(port)]
    process = subprocess.Popen(
        argv,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(APP.parents[1])},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == f"Pages at http://127.0.0.1:{port} (stop with Ctrl-C)\n"
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=20) as found:
        assert found.status == 200
    assert refused(port, host="evil.invalid", origin=f"http://evil.invalid:{port}")
    assert refused(port, host="127.0.0.1", origin="http://evil.invalid")
    assert not refused(port, host="127.0.0.1", origin=f"http://127.0.0.1:{port}")
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20)[0] == "Stopped.\n"
    assert process.returncode == 0
    with pytest.raises(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=5):
        pass


def refused(port: int, *, host: str, origin: str) -> bool:
    """Whether a web socket of such a page is turned away."""
    headers = {
        "Host": f"{host}:{port}",
        "Origin": origin,
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", "/_stcore/stream", headers=headers)
    status = connection.sock and connection.getresponse().status
    connection.close()
    return status != 101


def test_a_port_that_is_taken_and_a_missing_streamlit_are_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert run(["ui", "--port", str(taken.getsockname()[1])]) == 2
    assert "rag-adapt ui --port 0" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "streamlit", None)
    assert run(["ui"]) == 2
    assert "pip install 'rag-adapt[ui]'" in capsys.readouterr().err
    assert run(["serve", "--ui", "--port", "0", "--engine", "scripted"]) == 2
    assert "pip install 'rag-adapt[ui]'" in capsys.readouterr().err


def test_a_service_without_keys_is_not_opened_to_others_by_its_pages(
    address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["ui", "--host", "0.0.0.0", "--port", "0", "--api", address]) == 2
    assert "rag-adapt keys create NAME" in capsys.readouterr().err
    nobody = f"http://127.0.0.1:{free_port()}"
    assert run(["ui", "--host", "0.0.0.0", "--port", "0", "--api", nobody]) == 2
    assert "no service answers" in capsys.readouterr().err
    assert run(["ui", "--api", "ftp://x", "--port", "0"]) == 2
    assert "no address of a service" in capsys.readouterr().err
