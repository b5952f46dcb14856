"""An environment with a `vllm` that starts, ends or hangs as it is told: for tests of its process.

It does not know the engine; it answers `/health`, `/version` and `/metrics` alone.
"""

import json
import socket
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from rag_adapt.engines.vllm_server import ServerPlan

SERVER: Final = """
import json, os, pathlib, subprocess, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

folder = pathlib.Path(os.environ["FAKE_VLLM"])
mode = (folder / "mode").read_text()
flags = dict(zip(sys.argv[1:], sys.argv[2:]))
seen = {"argv": sys.argv[1:], "environment": dict(os.environ)}
(folder / "seen.json").write_text(json.dumps(seen))
if mode == "ends":
    print("ValueError: no memory left for the cache")
    print("that was all", flush=True)
    sys.exit(3)
if mode == "silent":
    sys.exit(4)
if mode == "family":
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    (folder / "child").write_text(str(child.pid))
begun = time.monotonic()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        ready = mode != "never" and time.monotonic() - begun > 0.2
        self.send_response(200 if ready else 503)
        self.end_headers()
        if self.path == "/version":
            self.wfile.write(b'{"version": "0.33.0"}')
        if self.path == "/metrics":
            busy = (folder / "busy").read_text().split()
            (folder / "busy").write_text(" ".join(busy[1:]))
            number = busy[0] if busy else "0"
            name = 'vllm:num_requests_running{engine="0"}'
            self.wfile.write(f"{name} {number}.0".encode())

    def log_message(self, *args):
        pass


ThreadingHTTPServer((flags["--host"], int(flags["--port"])), Handler).serve_forever()
"""


class FakeProcess:
    """The environment, and what the server in it was seen to get.

    Args:
        folder: Where it lies.
        monkeypatch: Puts it on the path of interpreters.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        package = folder / "site" / "vllm" / "entrypoints" / "openai"
        package.mkdir(parents=True)
        for place in (package, package.parent, package.parent.parent):
            (place / "__init__.py").touch()
        (package / "api_server.py").write_text(SERVER)
        monkeypatch.setenv("PYTHONPATH", str(folder / "site"))
        monkeypatch.setenv("FAKE_VLLM", str(folder))
        self.will("serve")
        self.is_busy()

    def will(self, mode: str) -> None:
        """What the next one does: serve, ends, silent, never or family."""
        (self.folder / "mode").write_text(mode)

    def is_busy(self, *numbers: int) -> None:
        """Requests that it says it works on, look by look; none afterwards."""
        (self.folder / "busy").write_text(" ".join(map(str, numbers)))

    @property
    def seen(self) -> dict[str, Any]:
        """Flags and environment of the last one."""
        found: dict[str, Any] = json.loads((self.folder / "seen.json").read_text())
        return found

    @property
    def child(self) -> int:
        """The process that the last one started."""
        return int((self.folder / "child").read_text())


def free_port() -> int:
    """One that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def plan(**more: Any) -> ServerPlan:
    """How to start it with this interpreter."""
    fields: dict[str, Any] = {
        "python": sys.executable,
        "model": "/models/tiny",
        "port": free_port(),
        "gpu": False,
        "slots": 4,
        "max_rank": 16,
        "context": 2048,
    }
    return ServerPlan(**{**fields, **more})
