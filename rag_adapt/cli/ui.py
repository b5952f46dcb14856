"""`rag-adapt ui`: the pages in the browser, as a process of their own beside the service.

It does not know any page: they lie in the folder `ui` beside this package.
"""

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Final

import typer

from rag_adapt.core.errors import MissingPackageError, SettingsError

LOOPBACK: Final = "127.0.0.1"
PORT: Final = 8501
SERVICE: Final = "http://127.0.0.1:8000"
BEGINS: Final = 60.0
"""Seconds that the pages may take to begin."""
STOPPED: Final = frozenset({0, -signal.SIGINT})
"""Exit codes of pages that were asked to end."""
ENDS: Final = 5.0
"""Seconds that they may take to end."""


@dataclass(frozen=True, kw_only=True)
class PagesPlan:
    """Where the pages are served, and whom they ask."""

    host: str = LOOPBACK
    port: int = PORT
    api: str = SERVICE
    """Address of the service."""
    names: Sequence[str] = ()
    """What browsers write for this machine, besides the host."""

    @property
    def url(self) -> str:
        """Where a browser finds them."""
        host = {"0.0.0.0": LOOPBACK, "::": "::1"}.get(self.host, self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def argv(self) -> list[str]:
        """The command of their process."""
        named = [part for name in self.names for part in ("--name", name)]
        place = ["--host", self.host, "--port", str(self.port)]
        return [sys.executable, "-m", "ui", *place, "--api", self.api, "--until-eof", *named]


class Pages:
    """The process of the pages; it ends with us, however we end.

    Args:
        plan: See there.
    """

    def __init__(self, plan: PagesPlan) -> None:
        self.plan = plan
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin, and print the address as soon as they answer."""
        self._process = subprocess.Popen(
            self.plan.argv(),
            cwd=front_end().parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        threading.Thread(target=self._announce, daemon=True).start()

    def wait(self) -> int:
        """Until they end; their exit code."""
        assert self._process is not None
        return self._process.wait()

    def end(self) -> None:
        """End them; more than once does no more."""
        if self._process is None:
            return
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(ENDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _announce(self) -> None:
        if self._answers():
            typer.echo(f"Pages at {self.plan.url} (stop with Ctrl-C)")

    def _answers(self) -> bool:
        assert self._process is not None
        end = time.monotonic() + BEGINS
        host = self.plan.url.removeprefix("http://").rpartition(":")[0].strip("[]")
        while self._process.poll() is None and time.monotonic() < end:
            with suppress(OSError), socket.create_connection((host, self.plan.port), timeout=1):
                return True
            time.sleep(0.05)
        return False


def ui(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = LOOPBACK,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = PORT,
    api: Annotated[str, typer.Option(help="Address of the service, see `serve`.")] = SERVICE,
    name: Annotated[
        list[str] | None,
        typer.Option(help="Host name that browsers write, if it is not --host; repeatable."),
    ] = None,
) -> None:
    """Open the pages in the browser: chat, benchmarks, skills; see docs/ui.md."""
    plan = plan_pages(host=host, port=port, api=api, names=name or ())
    _check_guarded(plan)
    pages = Pages(plan)
    pages.start()
    try:
        code = pages.wait()
    except KeyboardInterrupt:
        code = 0
    finally:
        pages.end()
    if code not in STOPPED:
        raise SettingsError(
            f"the pages ended with exit code {code}",
            hint="What they printed above says why; `rag-adapt --debug ui` starts them again.",
        )
    typer.echo("Stopped.")


def plan_pages(
    *, host: str = LOOPBACK, port: int = PORT, api: str = SERVICE, names: Sequence[str] = ()
) -> PagesPlan:
    """The plan with a port that is free.

    Raises:
        MissingPackageError: streamlit, or the pages themselves, are not installed.
        SettingsError: another process has the port.
    """
    front_end()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.create_server((host, port), family=family) as free:
            port = free.getsockname()[1]
    except OSError as exc:
        raise SettingsError(
            f"the pages cannot listen on {host!r}, port {port}: {exc.strerror or exc}",
            hint="Choose another port (`rag-adapt ui --port 0` takes a free one), or stop the "
            "process that has it.",
        ) from exc
    return PagesPlan(host=host, port=port, api=api, names=tuple(names))


def front_end() -> Path:
    """The folder of the pages.

    Raises:
        MissingPackageError: streamlit, or the pages themselves, are not installed.
    """
    folder = Path(__file__).parents[2] / "ui"
    if find_spec("streamlit") is None or not (folder / "app.py").exists():
        raise MissingPackageError(
            "the pages need the package streamlit, which is not installed",
            hint="pip install 'rag-adapt[ui]'",
        )
    return folder


def _check_guarded(plan: PagesPlan) -> None:
    """Refuse to open a service that asks for no key to everybody who reaches the pages.

    Raises:
        SettingsError: it would be.
        ApiError: whether it asks cannot be found out.
    """
    from rag_adapt.api.origin import is_loopback
    from rag_adapt.client import ApiError, Client

    with Client(plan.api) as client:
        if is_loopback(plan.host):
            return
        try:
            client.catalog.models()
        except ApiError as error:
            if error.status == 401:
                return
            raise
    raise SettingsError(
        f"will not show the pages on {plan.host!r}: the service at {plan.api} asks nobody for an "
        "API key, so everybody who reaches that address could use it",
        hint="Run `rag-adapt keys create NAME --scope chat` for that service first, or use "
        "--host 127.0.0.1.",
    )
