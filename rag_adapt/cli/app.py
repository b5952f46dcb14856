"""The command `rag-adapt`: its sub-commands, and the one place where errors become messages.

It does not know what any command does.
"""

import errno
import os
import sys
from typing import Annotated, Final

import typer

from rag_adapt import __version__
from rag_adapt.cli import (
    adapters,
    answer,
    bench,
    doctor,
    feedback,
    index,
    keys,
    models,
    runs,
    serve,
    skills,
    traces,
    ui,
    vllm,
)
from rag_adapt.cli.console import (
    Context,
    print_error,
    print_exit_code,
    progress_for_programs,
)
from rag_adapt.core.errors import RagAdaptError, SettingsError, StorageError, UserError
from rag_adapt.models.native import set_native_defaults

INTERRUPTED: Final = 130

app = typer.Typer(
    help="Compare prompt templates, retrieval and LoRA adapters on the same model and items.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(skills.app, name="skills")
app.add_typer(models.app, name="models")
app.add_typer(index.app, name="index")
app.add_typer(adapters.app, name="adapters")
app.command("bench")(bench.bench)
app.add_typer(runs.app, name="runs")
app.command("answer")(answer.answer)
app.command("serve")(serve.serve)
app.command("ui")(ui.ui)
app.command("vllm")(vllm.vllm)
app.command("doctor")(doctor.doctor)
app.add_typer(keys.app, name="keys")
app.add_typer(feedback.app, name="feedback")
app.add_typer(traces.app, name="traces")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    home: Annotated[str | None, typer.Option(help="Where state lives; default .rag-adapt.")] = None,
    debug: Annotated[bool, typer.Option(help="Show tracebacks.")] = False,
    progress_json: Annotated[
        bool, typer.Option("--progress-json", help="Progress as JSON lines, for programs.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    """Keep what stands before the command; each command reads the settings when it runs."""
    progress_for_programs(progress_json)
    context.obj = Context(home=home)


def main(arguments: list[str] | None = None) -> None:
    """Run one command and exit: 0 done, 1 our fault, 2 the user can mend it, 130 interrupted."""
    code = run(sys.argv[1:] if arguments is None else arguments)
    print_exit_code(code)
    raise SystemExit(code)


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code; errors are printed in one shape."""
    debug = "--debug" in arguments
    set_native_defaults()
    try:
        result = app(args=arguments, standalone_mode=False)
    except Exception as error:
        if debug:
            raise
        return _report(error)
    except KeyboardInterrupt:
        result = INTERRUPTED
    if result == INTERRUPTED:  # also what Typer makes of Ctrl-C
        print_error("interrupted", "What was finished is kept; run the same command to go on.")
    return result if isinstance(result, int) else 0


def _report(error: Exception) -> int:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, OSError) and (storage := _storage_error(error)) is not None:
        error = storage
    if isinstance(error, RagAdaptError):
        print_error(error.fact, error.hint)
        return 2 if isinstance(error, UserError) else 1
    show = getattr(error, "format_message", None)
    if show is not None:
        print_error(str(show()), "See `rag-adapt --help`, or `rag-adapt COMMAND --help`.")
        return 2
    if type(error).__name__ == "Abort":
        print_error("stopped: a question was left unanswered", "Answer it, or pass --yes.")
        return 2
    print_error(
        f"unexpected {type(error).__name__}: {error}",
        "This is a fault of rag-adapt. Run the command again with `rag-adapt --debug ...` and "
        "report what it prints.",
    )
    return 1


def _storage_error(error: OSError) -> StorageError | SettingsError | None:
    where = f" at {os.fspath(error.filename)!r}" if isinstance(error.filename, str) else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageError(
            f"the disk is full{where}",
            hint="Free some space (`rag-adapt runs list`, `rag-adapt adapters list`), or choose "
            "another folder with --home, then run the same command again.",
        )
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return StorageError(
            f"cannot write{where}: {error.strerror}",
            hint="Choose a folder that you may write with --home (or RAG_ADAPT_HOME), or change "
            "its permissions.",
        )
    return None
