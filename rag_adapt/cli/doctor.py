"""`rag-adapt doctor`: checks every part and prints the remedy for each fault.

It does not know any check.
"""

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from rag_adapt.cli.console import print_json, settings_of

if TYPE_CHECKING:
    from rag_adapt.doctor.finding import Finding

FAULTY = 1


def doctor(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    model: Annotated[str | None, typer.Option(help="As in `serve`.")] = None,
    embedder: Annotated[str | None, typer.Option(help="As in `serve`.")] = None,
    engine: Annotated[str | None, typer.Option(help="As in `serve`.")] = None,
    api_base: Annotated[str | None, typer.Option(help="As in `serve`.")] = None,
    device: Annotated[str | None, typer.Option(help="As in `serve`.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="As in `serve`.")] = 8000,
) -> int:
    """Check every part; exit code 1 where something is at fault, 0 otherwise."""
    from rag_adapt.doctor.examine import examine_all, is_healthy

    settings = settings_of(
        context, model=model, embedder=embedder, engine=engine, api_base=api_base, device=device
    )
    findings = examine_all(settings, port=port)
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        _print(findings)
    return 0 if is_healthy(findings) else FAULTY


def _print(findings: "tuple[Finding, ...]") -> None:
    """One line each, and the remedy on a line of its own: commands must not be broken."""
    width = max(len(each.name) for each in findings)
    for each in findings:
        typer.echo(f"{each.state:<8} {each.name:<{width}}  {each.what}")
        for line in each.remedy.splitlines():
            typer.echo(f"{'':<8} {'':<{width}}  try: {line}")
    counts = Counter(each.state for each in findings)
    typer.echo(f"{counts['fault']} fault(s), {counts['warning']} warning(s)")
