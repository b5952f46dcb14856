"""`rag-adapt runs`: read past runs.

It does not know how a run was made.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rag_adapt.cli.bench import print_report
from rag_adapt.cli.console import print_json, print_table, settings_of

if TYPE_CHECKING:
    from rag_adapt.bench.compare import ArmComparison, Comparison, Side

app = typer.Typer(help="Read past benchmark runs.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="A run's id, its beginning, its folder, or `last`.")]
COMPARED = ("arm", "before % [95 %]", "after % [95 %]", "change, points [95 %]", "n", "turned")
NAMED_ITEMS = 10
"""Fixed and broken items named per arm in the table; --json names all."""


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
    from rag_adapt.bench.saved import saved_report
    from rag_adapt.bench.store import find_run
    from rag_adapt.bench.table import markdown

    run = find_run(settings_of(context).home / "runs", name)
    if as_json:
        print_json(run.report())
        return
    report = saved_report(run)
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


@app.command()
def page(
    context: typer.Context,
    name: Name = "last",
    out: Annotated[
        Path | None, typer.Option(help="A file; default: report.html in the run's folder.")
    ] = None,
) -> None:
    """Write a run's page again from its record: one file for any browser."""
    from rag_adapt.bench.page.document import PAGE, chart_library, write_page
    from rag_adapt.bench.saved import saved_report
    from rag_adapt.bench.store import find_run

    home = settings_of(context).home
    run = find_run(home / "runs", name)
    path = out or run.path / PAGE
    write_page(saved_report(run), run.rows, path, library=lambda: chart_library(home / "cache"))
    typer.echo(f"{path} ({path.stat().st_size / 1e6:.1f} MB)")


@app.command()
def compare(
    context: typer.Context,
    a: Annotated[str, typer.Argument(help="The run before: as for `runs show`.")],
    b: Annotated[str, typer.Argument(help="The run after.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Two runs side by side, item by item."""
    from rag_adapt.bench import compare as comparing
    from rag_adapt.bench.store import find_run

    runs = settings_of(context).home / "runs"
    found = comparing.compare(find_run(runs, a), find_run(runs, b))
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    _print_comparison(found)


def _print_comparison(found: "Comparison") -> None:
    typer.echo(f"a: {found.a}\nb: {found.b}")
    if found.comparable:
        typer.echo("Comparable: the same skills and model. Changes: on items that both answered.")
    else:
        typer.echo("NOT comparable; differences may come from any of these:")
        for reason in found.reasons:
            typer.echo(f"  {reason}")
    for skill in dict.fromkeys(arm.skill for arm in found.arms):
        arms = [arm for arm in found.arms if arm.skill == skill]
        typer.echo()
        print_table(COMPARED, [_compared(arm) for arm in arms], title=skill)
        for arm in arms:
            _print_turned(arm)
    if found.different:
        typer.echo()
        rows = [(one.what, str(one.a), str(one.b)) for one in found.different]
        print_table(("what differs", "a", "b"), rows)


def _compared(arm: "ArmComparison") -> tuple[str, ...]:
    from rag_adapt.bench.table import NOTHING, points

    before, after, change = _side(arm.a), _side(arm.b), arm.change
    if change is None:
        return (arm.arm, before, after, NOTHING, NOTHING, NOTHING)
    moved = f"{points(change.delta)} [{points(change.ci_low)}, {points(change.ci_high)}]"
    turned = f"{len(change.fixed)} fixed, {len(change.broken)} broken"
    return (arm.arm, before, after, moved, str(change.n), turned)


def _side(side: "Side | None") -> str:
    from rag_adapt.bench.table import NOTHING, percent

    if side is None:
        return NOTHING
    return f"{percent(side.score)} [{percent(side.ci_low)}, {percent(side.ci_high)}]"


def _print_turned(arm: "ArmComparison") -> None:
    if arm.change is None:
        return
    for word, items in (("fixed", arm.change.fixed), ("broken", arm.change.broken)):
        if items:
            more = len(items) - NAMED_ITEMS
            tail = f" and {more} more (see --json)" if more > 0 else ""
            typer.echo(f"  {arm.arm} {word}: {', '.join(items[:NAMED_ITEMS])}{tail}")


@app.command()
def atlas(
    context: typer.Context,
    out: Annotated[Path | None, typer.Option(help="A file; default: standard output.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines instead of CSV.")] = False,
) -> None:
    """All runs as evidence: a row per skill, its probes and how it came out."""
    from rag_adapt.bench.atlas import write_atlas

    runs = settings_of(context).home / "runs"
    if out is None:
        write_atlas(runs, sys.stdout, as_json=as_json)
        return
    with out.open("w", newline="", encoding="utf-8") as file:
        rows = write_atlas(runs, file, as_json=as_json)
    typer.echo(f"{rows} rows written to {out}")
