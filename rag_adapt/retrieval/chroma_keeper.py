"""Keeps one Chroma server alive for as long as anybody uses it; a program of its own.

It does not know collections, and imports nothing of ours. Whoever uses the server holds a shared
lock on the file `users`, which dies with its process; when nobody does, the server is ended.

    python chroma_keeper.py FOLDER          keeps a server over FOLDER/data
    python chroma_keeper.py FOLDER PORT     is the server
"""

import http.client
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Final

DATA: Final = "data"
"""Chroma's own files."""
USERS: Final = "users"
"""Locked, shared, by everybody who uses the server."""
KEEPER: Final = "keeper"
"""Locked by the one process that keeps it."""
ADDRESS: Final = "server.json"
"""Where the server listens; there while it is healthy."""
LOG: Final = "server.log"
HOST: Final = "127.0.0.1"
HEARTBEAT: Final = "/api/v2/heartbeat"
POLL: Final = 0.1
"""Seconds between two looks at the server and its users."""
OTHER_SECONDS: Final = 2.0
"""After which a lock is another keeper's: those who only look whether there is one hold it for an
instant."""
START_SECONDS: Final = 60.0
"""Within which a server must be healthy, on a busy machine too."""
LOOK_SECONDS: Final = 5.0
"""Between two questions whether it is well, and for the answer."""
STRIKES: Final = 3
"""Unanswered questions after which it counts as hung; starts in a row that fail."""
STOP_SECONDS: Final = 10.0
_DIE_WITH_PARENT: Final = 1
"""`PR_SET_PDEATHSIG` of Linux's prctl."""


def main(arguments: Sequence[str]) -> int:
    """Keep, or be, the server; the process's status."""
    folder = Path(arguments[0])
    if len(arguments) > 1:
        return serve(folder, arguments[1])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with (folder / KEEPER).open("a") as own, (folder / USERS).open("a") as users:
        until = time.monotonic() + OTHER_SECONDS
        while not locked(own):
            if time.monotonic() > until:
                return 0  # another one keeps it
            time.sleep(POLL)
        return keep(folder, users)


def locked(file: IO[str]) -> bool:
    """Whether the file is ours alone now; it stays so until it is closed."""
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def keep(folder: Path, users: IO[str]) -> int:
    """Start the server, and again whenever it ends or hangs, until nobody uses it.

    The users' file stays locked until this process has ended: whoever comes meanwhile waits, and
    then begins anew.
    """
    server: subprocess.Popen[bytes] | None = None
    failures, looked = 0, 0.0
    try:
        while not locked(users):
            if server is None or server.poll() is not None:
                server = begun(folder)
                failures = 0 if server.poll() is None else failures + 1
                if failures == STRIKES:
                    return 1
                strikes, looked = 0, time.monotonic()
            elif time.monotonic() - looked > LOOK_SECONDS:
                strikes = 0 if healthy(folder) else strikes + 1
                looked = time.monotonic()
                if strikes == STRIKES:
                    end(folder, server)
            time.sleep(POLL)
    finally:
        end(folder, server)
    return 0


def begun(folder: Path) -> "subprocess.Popen[bytes]":
    """A server that is healthy, or one that has ended."""
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        port = taken.getsockname()[1]
    with (folder / LOG).open("wb") as log:
        argv = [sys.executable, "-P", __file__, str(folder), str(port)]
        server = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder
        )
    until = time.monotonic() + START_SECONDS
    while server.poll() is None and not answers(port):
        if time.monotonic() > until:
            server.kill()
            server.wait()
        time.sleep(POLL)
    if server.poll() is None:
        new = folder / f"{ADDRESS}.new"
        new.write_text(json.dumps({"port": port, "pid": server.pid, "keeper": os.getpid()}))
        new.replace(folder / ADDRESS)
    return server


def healthy(folder: Path) -> bool:
    """Whether the server answers where it said it would."""
    return answers(int(json.loads((folder / ADDRESS).read_text())["port"]))


def answers(port: int) -> bool:
    """Whether somebody at that port says that he is well."""
    connection = http.client.HTTPConnection(HOST, port, timeout=LOOK_SECONDS)
    try:
        connection.request("GET", HEARTBEAT)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def end(folder: Path, server: "subprocess.Popen[bytes] | None") -> None:
    """End the server: first ask, then do not."""
    (folder / ADDRESS).unlink(missing_ok=True)
    if server is None or server.poll() is not None:
        return
    server.terminate()
    try:
        server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def serve(folder: Path, port: str) -> int:
    """Be Chroma's Rust server; a keeper that is killed takes it along."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    server = importlib.import_module("chromadb_rust_bindings")
    server.cli(["chroma", "run", "--path", str(folder / DATA), "--host", HOST, "--port", port])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
