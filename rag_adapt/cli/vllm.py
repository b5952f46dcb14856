"""`rag-adapt vllm`: the right vLLM server for this machine, printed, started or stopped.

It does not know adapters: those are loaded when they are needed.
"""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rag_adapt.cli.console import bars, print_json, settings_of

if TYPE_CHECKING:
    from rag_adapt.core.protocols import Progress
    from rag_adapt.engines.vllm_server import Running, ServerPlan
    from rag_adapt.settings import Settings

PORT = 8001


def vllm(
    context: typer.Context,
    start: Annotated[
        bool, typer.Option("--start", help="Start it and wait until it is healthy.")
    ] = False,
    stop: Annotated[bool, typer.Option("--stop", help="End the one that was started.")] = False,
    model: Annotated[str | None, typer.Option(help="As in `bench`.")] = None,
    device: Annotated[str | None, typer.Option(help="As in `bench`.")] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="On 127.0.0.1.")] = PORT,
    slots: Annotated[int, typer.Option(min=1, max=64, help="Adapters computed at once.")] = 4,
    max_rank: Annotated[
        int, typer.Option(help="Largest rank of an adapter: 1, 8, 16, 32, 64, 128, 256, 320, 512.")
    ] = 16,
    max_len: Annotated[
        int | None, typer.Option(min=64, help="Tokens of prompt and answer together.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print the command that serves the model with adapters here; with --start, run it."""
    from rag_adapt.engines.vllm_server import VllmServer

    settings = settings_of(context, model=model, device=device)
    server = VllmServer(settings.home)
    if stop:
        ended = server.stop()
        print_json({"stopped": ended}) if as_json else typer.echo(
            "Stopped." if ended else "No server of this home runs."
        )
        return
    with bars() as progress:
        plan = _plan(settings, progress, port=port, slots=slots, max_rank=max_rank, limit=max_len)
        running = server.start(plan, progress) if start else server.running()
    if as_json:
        print_json(_facts(plan, running))
    else:
        _print(plan, running)


def _plan(
    settings: "Settings",
    progress: "Progress",
    *,
    port: int,
    slots: int,
    max_rank: int,
    limit: int | None,
) -> "ServerPlan":
    from rag_adapt.core.errors import SettingsError
    from rag_adapt.engines.vllm_server import MAX_RANKS, plan_for
    from rag_adapt.wiring import language_files

    if max_rank not in MAX_RANKS:
        raise SettingsError(
            f"--max-rank {max_rank} is none that vLLM takes",
            hint=f"Take one of {', '.join(map(str, MAX_RANKS))}.",
        )
    return plan_for(
        language_files(settings, progress).path,
        python=settings.vllm_python or sys.executable,
        gpu=settings.device != "cpu",
        port=port,
        slots=slots,
        max_rank=max_rank,
        context=limit,
    )


def _facts(plan: "ServerPlan", running: "Running | None") -> dict[str, Any]:
    """What a program may want to know; the key is in the home, not here."""
    return {
        "command": (running.plan if running else plan).argv(),
        "environment": (running.plan if running else plan).environment(),
        "running": running is not None,
        "pid": None if running is None else running.pid,
        "api_base": None if running is None else running.api_base,
        "log": None if running is None else running.log,
    }


def _print(plan: "ServerPlan", running: "Running | None") -> None:
    if running is None:
        typer.echo(plan.printed())
        typer.echo("\nIt does not run. `rag-adapt vllm --start` starts it with a key of its own.")
        return
    typer.echo(f"vLLM runs at {running.api_base} (process {running.pid}; log {running.log}).")
    typer.echo("Use it with `rag-adapt serve --engine vllm` or `rag-adapt bench --engine vllm`;")
    typer.echo("end it with `rag-adapt vllm --stop`.")
