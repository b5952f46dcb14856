"""`rag-adapt runs`: read past runs.

It does not know how a run was made.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from rag_adapt.cli.bench import print_report
from rag_adapt.cli.console import print_json, print_table, settings_of

app = typer.Typer(help="Read past benchmark runs.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="A run's id, its beginning, its folder, or `last`.")]


@app.command("list")
def list_(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """All runs, newest first."""
    from rag_adapt.bench.store import list_runs

    headers = [run.header for run in list_runs(settings_of(context).home / "runs")]
    if as_json:
        print_json([header.model_dump(mode="json") for header in headers])
        return
    rows = [(h.id, h.state, ", ".join(h.plan["skills"]), h.command) for h in headers]
    print_table(("run", "state", "skills", "command"), rows, title=f"{len(rows)} runs")


@app.command()
def show(
    context: typer.Context,
    name: Name = "last",
    as_json: Annotated[bool, typer.Option("--json", help="Print report.json.")] = False,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the tables as markdown.")
    ] = False,
) -> None:
    """The tables of a run."""
    from rag_adapt.bench.figures import Report
    from rag_adapt.bench.store import find_run
    from rag_adapt.bench.table import markdown

    run = find_run(settings_of(context).home / "runs", name)
    if as_json:
        print_json(run.report())
        return
    report = Report.model_validate(run.report())
    if as_markdown:
        typer.echo(markdown(report), nl=False)
        return
    print_report(report, run.path)


@app.command()
def export(
    context: typer.Context,
    name: Name = "last",
    out: Annotated[Path | None, typer.Option(help="A file; default: standard output.")] = None,
) -> None:
    """The answers of a run as CSV: one line per answer, without traces."""
    from rag_adapt.bench.export import write_csv
    from rag_adapt.bench.store import find_run

    run = find_run(settings_of(context).home / "runs", name)
    if out is None:
        write_csv(run, sys.stdout)
        return
    with out.open("w", newline="", encoding="utf-8") as file:
        lines = write_csv(run, file)
    typer.echo(f"{lines} answers written to {out}")
