"""`rag-adapt traces`: delete what the service keeps of its answers.

It does not know how traces are kept.
"""

from dataclasses import asdict
from typing import Annotated

import typer

from rag_adapt.cli.console import print_json, settings_of

app = typer.Typer(help="What the service keeps of its answers.", no_args_is_help=True)


@app.callback()
def traces() -> None:
    """The commands below stand after `traces`."""


@app.command("remove")
def remove(
    context: typer.Context,
    collection: Annotated[
        str, typer.Option(help="Delete what the service keeps of this collection's text.")
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Delete the traces of answers that quote a collection, and take its passages out of
    conversations; questions and answers stay. For good, also while the service runs."""
    from rag_adapt.retrieval.catalog import collection_folder
    from rag_adapt.serving.quotations import remove_quoting

    settings = settings_of(context)
    collection_folder(settings.indexes, collection)  # refuses what cannot be a name
    if not yes and not typer.confirm(
        f"Delete all traces that quote {collection}, and its passages in conversations?"
    ):
        typer.echo("kept them")
        return
    gone = remove_quoting(settings.home, collection)
    if as_json:
        print_json(asdict(gone))
        return
    typer.echo(
        f"removed {gone.traces} trace(s) that quoted {collection}, and its passages from "
        f"{gone.conversations} conversation(s)"
    )
