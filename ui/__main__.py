"""Starts the pages on Streamlit's own server: `python -m ui`, which `rag-adapt ui` runs.

It does not know any page.
"""

import argparse
import os
import signal
import sys
import threading
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ui.connection import ADDRESS

HERE: Final = Path(__file__).parent
Serve = Callable[[Path, Mapping[str, Any]], object]
NOWHERE: Final = "http://127.0.0.1:9"
"""A proxy that does not exist: Streamlit would ask the internet for this machine's own address.
The client of the service reads no proxy from the environment."""


def main(serve: Serve | None = None) -> None:
    """Serve until a signal.

    Args:
        serve: What serves a file with settings; Streamlit by default.
    """
    settings = prepared(sys.argv[1:])
    sys.argv = sys.argv[:1]
    (serve or _streamlit())(HERE / "app.py", settings)


def _streamlit() -> Serve:
    from ui.server import serve

    return serve


def prepared(arguments: Sequence[str]) -> dict[str, Any]:
    """Streamlit's settings; the environment says whom the pages ask, and cuts them off.

    Args:
        arguments: See `--help`.
    """
    given = _parser().parse_args(arguments)
    os.environ[ADDRESS] = given.api
    os.environ.update(dict.fromkeys(("http_proxy", "https_proxy"), NOWHERE))
    os.environ.pop("no_proxy", None)
    if given.until_eof:
        threading.Thread(target=_end_with, args=(sys.stdin.fileno(),), daemon=True).start()
    return settings_of(given.host, given.port, given.name)


def settings_of(host: str, port: int, names: Sequence[str] = ()) -> dict[str, Any]:
    """Streamlit's settings: those of `.streamlit/config.toml`, over which no other file counts.

    Args:
        host: Address to listen on.
        port: Port to listen on.
        names: What browsers write for this machine, besides the address and loopback.
    """
    settings = _dotted(tomllib.loads((HERE / ".streamlit" / "config.toml").read_text()))
    own = [name for name in (host, *names) if name not in ("0.0.0.0", "::")]
    settings |= {"server.address": host, "server.port": port}
    settings["server.allowedHosts"] = list(dict.fromkeys([*settings["server.allowedHosts"], *own]))
    settings["server.corsAllowedOrigins"] = [f"http://{name}:{port}" for name in own]
    return settings


def _dotted(tree: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Values by the path that leads to them."""
    found: dict[str, Any] = {}
    for name, value in tree.items():
        found |= (
            _dotted(value, f"{above}{name}.")
            if isinstance(value, dict)
            else {f"{above}{name}": value}
        )
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ui", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8501)
    parser.add_argument("--api", required=True, help="Address of the service.")
    parser.add_argument("--name", action="append", default=[])
    parser.add_argument("--until-eof", action="store_true", help="End with standard input.")
    return parser


def _end_with(pipe: int) -> None:
    """End when the other side of a pipe is gone, read without a lock that Python would wait for."""
    while os.read(pipe, 1024):
        continue
    os.kill(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    main()
