"""`rag-adapt traces`: delete what the service keeps of its answers.

It does not know how traces are kept.
"""

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
        str, typer.Option(help="Delete the traces of answers that quote this collection.")
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Delete traces for good, also while the service runs; it keeps the latest 10,000 by itself."""
    from rag_adapt.retrieval.catalog import collection_folder
    from rag_adapt.serving.traces import remove_quoting

    settings = settings_of(context)
    collection_folder(settings.indexes, collection)  # refuses what cannot be a name
    if not yes and not typer.confirm(f"Delete all traces that quote {collection}?"):
        typer.echo("kept them")
        return
    gone = remove_quoting(settings.home, collection)
    if as_json:
        print_json({"collection": collection, "traces": gone})
        return
    typer.echo(f"removed {gone} trace(s) that quoted {collection}")
