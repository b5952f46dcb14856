"""What commands share: the context, tables, progress bars, and the one shape of an error.

It does not know any command.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rag_adapt.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Context:
    """What the root command hands to every sub-command."""

    home: str | None = None
    """`--home`, if it was given."""


def settings_of(context: typer.Context, **flags: Any) -> "Settings":
    """The settings with this command's flags over them; None means "not given"."""
    from rag_adapt.settings import load_settings

    assert isinstance(context.obj, Context)  # set by the root command, always
    return load_settings(home=context.obj.home, **flags)


def print_error(fact: str, hint: str) -> None:
    """`error: ...` and `  try: ...` on standard error, without markup."""
    print(f"error: {fact}", file=sys.stderr)
    for line in hint.splitlines():
        print(f"  try: {line}", file=sys.stderr)


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str = "") -> None:
    """A table on standard output; cells are shown as text, never as markup."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title) if title else None, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    console.print(table)


class Bars:
    """Progress as bars on standard error: one bar per stage; plain lines where no terminal is."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self._console = Console(stderr=True)
        self.terminal = self._console.is_terminal
        self._tasks: dict[str, Any] = {}
        self._printed: dict[str, int] = {}
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=self._console,
            transient=True,
        )

    def update(self, stage: str, done: int, total: int, note: str = "") -> None:
        """See `rag_adapt.core.protocols.Progress`."""
        if not self.terminal:
            self._print(stage, done, total, note)
            return
        if stage not in self._tasks:
            self._tasks[stage] = self.progress.add_task(stage, total=total, note=note)
        self.progress.update(self._tasks[stage], completed=done, total=total, note=note)

    def _print(self, stage: str, done: int, total: int, note: str) -> None:
        tenth = done * 10 // max(total, 1)
        if self._printed.get(stage) == tenth:
            return
        self._printed[stage] = tenth
        print(f"{stage}: {done}/{total} {note}".rstrip(), file=sys.stderr, flush=True)


@contextmanager
def bars() -> Iterator[Bars]:
    """Show progress bars while the block runs."""
    shown = Bars()
    with shown.progress if shown.terminal else nullcontext():
        yield shown
