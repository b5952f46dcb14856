"""Starts the pages on Streamlit's own server: `python -m ui`, which `rag-adapt ui` runs.

It does not know any page.
"""

import argparse
import os
import signal
import sys
import threading
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from ui.connection import ADDRESS

HERE: Final = Path(__file__).parent
NOWHERE: Final = "http://127.0.0.1:9"
"""A proxy that does not exist: Streamlit would ask the internet for this machine's own address.
The client of the service reads no proxy from the environment."""


def main(serve: Callable[[], object] | None = None) -> None:
    """Serve until a signal.

    Args:
        serve: What reads Streamlit's command line; Streamlit by default.
    """
    sys.argv = prepared(sys.argv[1:])
    (serve or _streamlit)()


def _streamlit() -> None:
    from streamlit.web.cli import main as streamlit

    streamlit()


def prepared(arguments: Sequence[str]) -> list[str]:
    """Streamlit's own command line; the environment says whom the pages ask, and cuts it off.

    Args:
        arguments: See `--help`.
    """
    given = _parser().parse_args(arguments)
    os.environ[ADDRESS] = given.api
    os.environ.update(dict.fromkeys(("http_proxy", "https_proxy"), NOWHERE))
    os.environ.pop("no_proxy", None)
    if given.until_eof:
        threading.Thread(target=_end_with, args=(sys.stdin.fileno(),), daemon=True).start()
    return ["streamlit", "run", str(HERE / "app.py"), *flags(given.host, given.port, given.name)]


def flags(host: str, port: int, names: Sequence[str] = ()) -> list[str]:
    """Streamlit's settings: those of `.streamlit/config.toml`, over which no other file counts.

    Args:
        host: Address to listen on.
        port: Port to listen on.
        names: What browsers write for this machine, besides the address and loopback.
    """
    settings: dict[str, Any] = {}
    for section, values in tomllib.loads((HERE / ".streamlit" / "config.toml").read_text()).items():
        settings |= {f"{section}.{name}": value for name, value in values.items()}
    own = [name for name in (host, *names) if name not in ("0.0.0.0", "::")]
    settings |= {"server.address": host, "server.port": port}
    settings["server.allowedHosts"] = list(dict.fromkeys([*settings["server.allowedHosts"], *own]))
    settings["server.corsAllowedOrigins"] = [f"http://{name}:{port}" for name in own]
    return [
        f"--{name}={str(one).lower() if isinstance(one, bool) else one}"
        for name, value in settings.items()
        for one in (value if isinstance(value, list) else [value])
    ]


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
