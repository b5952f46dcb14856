"""`rag-adapt index log`: keep what is asked of a collection, show it, or keep nothing.

It does not know how questions are kept.
"""

from typing import Annotated

import typer

from rag_adapt.cli.console import print_json, print_table, settings_of

Name = Annotated[str, typer.Argument(help="The collection: 3 to 48 of a-z, 0-9 and hyphens.")]


def log(
    context: typer.Context,
    name: Name,
    on: Annotated[
        bool | None,
        typer.Option("--on/--off", help="Keep questions from now on; or forget all, keep none."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what was asked of a collection; nothing is kept unless it was switched on."""
    from datetime import UTC, datetime

    from rag_adapt.retrieval import query_log
    from rag_adapt.retrieval.catalog import collection_folder
    from rag_adapt.retrieval.record import Record

    folder = collection_folder(settings_of(context).indexes, name)
    Record.read(folder).close()
    if on is not None:
        switch = query_log.switch_on if on else query_log.switch_off
        switch(folder)
        typer.echo(f"questions to {name} are {'kept' if on else 'not kept'}")
        return
    asked = query_log.asked(folder)
    if as_json:
        print_json({"collection": name, "queries": asked})
    elif asked:
        rows = [
            (
                datetime.fromtimestamp(each["time"], UTC).isoformat(timespec="seconds"),
                each["mode"],
                each["query"],
                ", ".join(f"{document}:{start}-{end}" for document, start, end in each["hits"]),
            )
            for each in asked
        ]
        print_table(("time", "mode", "question", "found"), rows, title=f"collection {name}")
    else:
        typer.echo(f"nothing kept; keep questions with `rag-adapt index log {name} --on`")
