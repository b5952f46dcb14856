"""`rag-adapt feedback`: list, accept, reject and export what people said of answers.

It does not know how feedback is kept or compared.
"""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from rag_adapt.cli.console import print_json, settings_of

if TYPE_CHECKING:
    from rag_adapt.feedback.entry import Decision, Entry
    from rag_adapt.feedback.store import FeedbackBook

app = typer.Typer(
    help="Votes and better answers: list, accept, reject, export.", no_args_is_help=True
)
Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="As `feedback list` shows them.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Skill = Annotated[str | None, typer.Option(help="Of this skill alone.")]
DECIDER = "local"
"""Whoever may run commands on this machine, as in a service without keys."""


@app.command("list")
def list_(
    context: typer.Context,
    state: Annotated[
        Literal["pending", "accepted", "rejected"] | None, typer.Option(help="In this state alone.")
    ] = None,
    skill: Skill = None,
    route: Annotated[str | None, typer.Option(help="Of this route alone, such as rag.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 50,
    as_json: Json = False,
) -> None:
    """Show what was said, newest first."""
    from rag_adapt.feedback.store import Wanted

    wanted = Wanted(state=state, skill=skill, route=route)
    page = _book(context).page(wanted, limit=limit)
    if as_json:
        print_json([asdict(entry) for entry in page.entries])
        return
    _print(page.entries)
    if page.next is not None:
        typer.echo(f"and more: --limit {limit * 2}")


@app.command()
def accept(context: typer.Context, ids: Ids, as_json: Json = False) -> None:
    """Let rows be made of it; refused where it stands among its skill's test items."""
    _decide(context, ids, "accepted", as_json=as_json)


@app.command()
def reject(context: typer.Context, ids: Ids, as_json: Json = False) -> None:
    """Keep it, and never make rows of it."""
    _decide(context, ids, "rejected", as_json=as_json)


@app.command()
def export(
    context: typer.Context,
    kind: Annotated[
        Literal["training", "preferences"],
        typer.Argument(help="{input, targets}, or {prompt, chosen, rejected}."),
    ] = "training",
    skill: Skill = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document instead of JSON Lines.")
    ] = False,
) -> None:
    """Print rows of what was accepted as JSON Lines; test items never come out."""
    from rag_adapt.feedback.rows import export as export_rows

    made = export_rows(_book(context), settings_of(context).home, kind, skill=skill)
    if as_json:
        print_json(asdict(made))
        return
    typer.echo(made.lines(), nl=False)
    if made.left_out:
        typer.echo(
            f"left out {made.left_out}: test items, or of skills that cannot be read", err=True
        )


def _decide(
    context: typer.Context, ids: Sequence[str], decision: "Decision", *, as_json: bool
) -> None:
    """One after the other; those before a fault stay decided."""
    from rag_adapt.feedback.firewall import decide

    book, home = _book(context), settings_of(context).home
    done = []
    try:
        for id in ids:
            entry = decide(book, home, id, decision, decider=DECIDER)
            done.append(asdict(entry))
            if not as_json:
                typer.echo(f"{entry.id}: {entry.state}")
    finally:
        if as_json:
            print_json(done)


def _book(context: typer.Context) -> "FeedbackBook":
    from rag_adapt.feedback.store import FeedbackBook

    return FeedbackBook(settings_of(context).home)


def _print(entries: "Sequence[Entry]") -> None:
    if not entries:
        typer.echo("nobody has said anything yet")
        return
    for entry in entries:
        judged, verdict = entry.judged, entry.verdict
        skill = judged.skill or "no skill"
        typer.echo(f"{entry.id}  {entry.state}  {skill}  {judged.route}  {_day(entry.given)}")
        _say("question", judged.question)
        _say("answer", judged.answer)
        _say("vote", verdict.vote)
        _say("better", verdict.correction)
        _say("note", verdict.note)


def _say(what: str, text: str | None) -> None:
    """One line; what strangers wrote moves no cursor and hides nothing."""
    if text:
        shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
        typer.echo(f"  {what:<8}  {shown}")


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
