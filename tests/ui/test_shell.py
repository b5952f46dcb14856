"""The frame of the front end: pages, signing in, a service that is not there."""

import http.client
import os
import re
import signal
import socket
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest

from rag_adapt.cli.app import run
from rag_adapt.cli.ui import Pages, PagesPlan, plan_pages
from tests.api.test_serve import serving
from tests.client.parts import free_port
from tests.ui.parts import APP, page, ran, read, words
from ui.__main__ import NOWHERE, main, settings_of
from ui.connection import ADDRESS
from ui.plain import JOINER, label

Found = TypeVar("Found")


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
    given = settings_of("127.0.0.1", 8501)
    assert given["browser.gatherUsageStats"] is False
    assert given["server.enableAgentApi"] is False
    assert (given["server.address"], given["server.port"]) == ("127.0.0.1", 8501)
    assert given["server.fileWatcherType"] == "none"
    assert given["runner.magicEnabled"] is False  # strings in a page's file are not shown
    assert given["server.allowedHosts"] == ["127.0.0.1", "localhost", "[::1]"]


def test_other_names_of_the_machine_are_let_in_where_they_are_given() -> None:
    given = settings_of("0.0.0.0", 80, ["box.lan"])
    assert "box.lan" in given["server.allowedHosts"]
    assert "0.0.0.0" not in given["server.allowedHosts"]
    assert given["server.corsAllowedOrigins"] == ["http://box.lan:80"]


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
    assert not re.search(r"[!-/:-@\[-`{-~]", re.sub(r"\\.", "", made))


def test_the_command_serves_the_pages_prints_their_address_and_ends_with_them(
    own_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port, codes = free_port(), list[int]()
    command = threading.Thread(
        target=lambda: codes.append(run(["ui", "--port", str(port)])), daemon=True
    )
    command.start()
    (pages,) = until_there(pages_of_ours)
    (line,) = until_there(lambda: re.findall("Pages at.*", capsys.readouterr().out))
    assert line == f"Pages at http://127.0.0.1:{port} (stop with Ctrl-C)"
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=60) as found:
        assert found.status == 200
        rules = found.headers["Content-Security-Policy"]
    assert "unsafe-eval" not in rules
    assert "script-src 'self' 'sha256-" in rules
    assert refused(port, host="evil.invalid", origin=f"http://evil.invalid:{port}")
    assert refused(port, host="127.0.0.1", origin="http://evil.invalid")
    assert not refused(port, host="127.0.0.1", origin=f"http://127.0.0.1:{port}")
    pages.send_signal(signal.SIGINT)
    command.join(timeout=60)
    said = capsys.readouterr()
    assert (codes, said.out, said.err) == ([0], "Stopped.\n", "")


def test_pages_that_end_by_themselves_are_an_error(
    own_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    codes = list[int]()
    command = threading.Thread(target=lambda: codes.append(run(["ui", "--port", "0"])), daemon=True)
    command.start()
    (pages,) = until_there(pages_of_ours)
    pages.kill()
    command.join(timeout=60)
    assert codes == [2]
    assert "the pages ended with exit code -9" in capsys.readouterr().err


def test_the_pages_end_when_whoever_started_them_does(own_folder: Path) -> None:
    pages = Pages(plan_pages(port=0))
    pages.end()  # nothing has begun
    pages.start()
    (child,) = until_there(pages_of_ours)
    pages.end()
    assert not child.is_running()
    pages.end()


def test_one_command_serves_both_and_a_kill_leaves_no_pages_behind(own_folder: Path) -> None:
    port = free_port()
    with serving("--ui", "--ui-port", str(port)) as (_, process):
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line == f"Pages at http://127.0.0.1:{port} (stop with Ctrl-C)\n"
        (pages,) = psutil.Process(process.pid).children()
        process.kill()
        pages.wait(timeout=60)


def pages_of_ours() -> list[psutil.Process]:
    """The pages that this process started, among whatever else it did."""
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.Error):
            if "--until-eof" in child.cmdline():
                found.append(child)
    return found


def until_there(look: Callable[[], Sequence[Found]]) -> Sequence[Found]:
    """What is found as soon as anything is."""
    end = time.monotonic() + 30
    while not (found := look()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


def test_the_pages_process_knows_whom_to_ask_and_reaches_nobody_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in (ADDRESS, "http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.setenv(name, "before")
    plan = PagesPlan(api="http://127.0.0.1:1", names=("box.lan",))
    python, _, _, *arguments = plan.argv()
    assert python == sys.executable
    ours, theirs = os.pipe()
    ended = threading.Event()
    before = signal.signal(signal.SIGINT, lambda *_: ended.set())
    with os.fdopen(ours) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        monkeypatch.setattr(sys, "argv", ["ui", *arguments])
        served: list[tuple[Path, Mapping[str, Any]]] = []
        main(lambda script, given: served.append((script, given)))
        os.close(theirs)
        assert ended.wait(60)
    signal.signal(signal.SIGINT, before)
    ((script, given),) = served
    assert script == APP
    assert "box.lan" in given["server.allowedHosts"]
    assert os.environ[ADDRESS] == "http://127.0.0.1:1"
    assert os.environ["http_proxy"] == os.environ["https_proxy"] == NOWHERE
    assert "no_proxy" not in os.environ


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8501"),
        ("0.0.0.0", "http://127.0.0.1:8501"),
        ("::1", "http://[::1]:8501"),
        ("::", "http://[::1]:8501"),
    ],
)
def test_the_address_that_is_printed_can_be_opened(host: str, url: str) -> None:
    assert PagesPlan(host=host).url == url


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
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
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
