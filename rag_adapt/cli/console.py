"""What commands share: the context, tables, progress bars, and the one shape of an error.

It does not know any command.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import typer

if TYPE_CHECKING:
    from rag_adapt.settings import Settings

LINE_SECONDS: Final = 0.1
"""Between two lines of one stage for a program."""
_for_programs: ContextVar[bool] = ContextVar("progress_json", default=False)


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


class JsonLines:
    """Progress for a program: one JSON object per line on standard error, ten a second at most.

    `{"stage": "train", "done": 3, "total": 40, "note": ""}`; the last line of a stage is always
    written.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._written: dict[str, float] = {}

    def update(self, stage: str, done: int, total: int, note: str = "") -> None:
        """See `rag_adapt.core.protocols.Progress`."""
        now = self._clock()
        if done < total and now - self._written.get(stage, -1.0) < LINE_SECONDS:
            return
        self._written[stage] = now
        line = {"stage": stage, "done": done, "total": total, "note": note}
        print(json.dumps(line), file=sys.stderr, flush=True)


class Bars:
    """Progress as bars on standard error: one bar per stage; plain lines where no terminal is."""

    def __init__(self, *, lines: JsonLines | None = None) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self._console = Console(stderr=True)
        self._lines = lines
        self.terminal = self._console.is_terminal and lines is None
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
        if self._lines is not None:
            self._lines.update(stage, done, total, note)
            return
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
    """Show progress while the block runs: as bars, or as the root command was asked to."""
    shown = Bars(lines=JsonLines() if _for_programs.get() else None)
    with shown.progress if shown.terminal else nullcontext():
        yield shown


def progress_for_programs(wanted: bool) -> None:
    """From here on `bars` writes JSON lines (`--progress-json`), or does not."""
    _for_programs.set(wanted)


def print_exit_code(code: int) -> None:
    """The last line for a program: `{"exit": 0}`; whoever did not start the process needs it."""
    if _for_programs.get():
        print(json.dumps({"exit": code}), file=sys.stderr, flush=True)
