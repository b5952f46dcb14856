"""`rag-adapt serve`: the REST service on the engine of the settings.

It does not know any endpoint.
"""

import gc
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from rag_adapt.cli import ui as front_end
from rag_adapt.cli.console import bars, settings_of
from rag_adapt.core.errors import SettingsError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from rag_adapt.settings import Settings
    from rag_adapt.wiring_service import Opened

LOOPBACK = "127.0.0.1"
PORT = 8000
GRACE = 5
"""Seconds that answers under way may take to end when the server stops."""


def serve(
    context: typer.Context,
    host: Annotated[
        str, typer.Option(help="Address to listen on; beyond loopback API keys are needed.")
    ] = LOOPBACK,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = PORT,
    model: Annotated[str | None, typer.Option(help="As in `bench`.")] = None,
    embedder: Annotated[str | None, typer.Option(help="As in `bench`.")] = None,
    engine: Annotated[str | None, typer.Option(help="As in `bench`.")] = None,
    api_base: Annotated[str | None, typer.Option(help="As in `bench`.")] = None,
    device: Annotated[str | None, typer.Option(help="As in `bench`.")] = None,
    retriever: Annotated[str | None, typer.Option(help="As in `bench`.")] = None,
    ui: Annotated[bool, typer.Option("--ui", help="Open the pages too, as `ui` does.")] = False,
    ui_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the pages; 0 takes a free one.")
    ] = front_end.PORT,
) -> None:
    """Serve routes and the plain model behind OpenAI's endpoints; see docs/service.md."""
    settings = settings_of(
        context,
        model=model,
        embedder=embedder,
        engine=engine,
        api_base=api_base,
        device=device,
        retriever=retriever,
    )
    _serve(settings, host, port, ui_port if ui else None)


def _serve(settings: "Settings", host: str, port: int, ui_port: int | None) -> None:
    from rag_adapt.api.security import require_keys
    from rag_adapt.keys.store import KeyStore
    from rag_adapt.wiring_service import open_service

    require_keys(host, KeyStore(settings.home))
    with _listening(host, port) as listener:
        url = _url(host, listener.getsockname()[1])
        pages = None if ui_port is None else _pages(url, ui_port)
        with bars() as progress:
            opened = open_service(settings, progress)
        try:
            app = _app(settings, opened, host, url, pages)
            _run(app, listener, settings.serve_reply_seconds)
        finally:
            if pages is not None:
                pages.end()
            opened.close()


def _pages(url: str, port: int) -> front_end.Pages:
    """The pages of this service, for this machine alone; they begin when it is ready."""
    api = url.replace("//0.0.0.0:", f"//{LOOPBACK}:").replace("//[::]:", "//[::1]:")
    return front_end.Pages(front_end.plan_pages(port=port, api=api))


def _app(
    settings: "Settings",
    opened: "Opened",
    host: str,
    url: str,
    pages: front_end.Pages | None,
) -> "FastAPI":
    from rag_adapt.api.app import create_app
    from rag_adapt.api.desk import Desk
    from rag_adapt.api.limits import Limits
    from rag_adapt.keys.store import KeyStore

    def say_ready() -> None:
        _settle_memory()
        typer.echo(f"Ready at {url}/v1 (stop with Ctrl-C)")
        if pages is not None:
            pages.start()

    return create_app(
        opened.service,
        keys=KeyStore(settings.home),
        host=host,
        limits=Limits.of(settings),
        desk=Desk.of(settings),
        on_ready=say_ready,
        on_end=opened.end,
    )


def _settle_memory() -> None:
    """Leave what was loaded out of every later collection of garbage: it stays until the end, and
    to walk all of it stops every answer for a tenth of a second, now and then."""
    gc.collect()
    gc.freeze()


def _run(app: "FastAPI", listener: socket.socket, reply_seconds: float) -> None:
    """Serve until Ctrl-C, which is how a server ends and no interruption."""
    import uvicorn

    from rag_adapt.api.connections import server_config

    with suppress(KeyboardInterrupt):
        uvicorn.Server(server_config(app, grace=GRACE, reply_seconds=reply_seconds)).run(
            sockets=[listener]
        )
    typer.echo("Stopped.")


def _listening(host: str, port: int) -> socket.socket:
    """A socket on the address, taken before anything is loaded.

    Raises:
        SettingsError: another process has it, or this machine has no such address.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as exc:
        raise SettingsError(
            f"cannot listen on {host!r}, port {port}: {exc.strerror or exc}",
            hint="Choose another port (`rag-adapt serve --port 0` takes a free one), or stop the "
            "process that has it.",
        ) from exc


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
