"""`rag-adapt index check` and `rebuild`: find damage of a collection, and mend it.

It does not know what is looked at, or how anything is mended.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from rag_adapt.cli.console import print_json, print_table, settings_of

if TYPE_CHECKING:
    from rag_adapt.retrieval.finding import Finding

Name = Annotated[str, typer.Argument(help="The collection: 3 to 48 of a-z, 0-9 and hyphens.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def check(
    context: typer.Context,
    name: Name,
    embedder: Annotated[
        str | None,
        typer.Option(help="Embed 50 texts again by this one, to find vectors of another."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare a collection with itself, and Chroma with it; exit code 1 if anything is wrong."""
    from rag_adapt import wiring
    from rag_adapt.retrieval.catalog import collection_folder
    from rag_adapt.retrieval.check import check_collection
    from rag_adapt.retrieval.remembered import VECTORS

    settings = settings_of(context, embedder=embedder)
    folder = collection_folder(settings.indexes, name)
    findings = check_collection(
        folder,
        wiring.embedder(settings) if embedder else None,
        remembered=settings.home / VECTORS,
    )
    if as_json:
        print_json({"collection": name, "findings": [asdict(each) for each in findings]})
    elif findings:
        _print_findings(name, findings)
    else:
        typer.echo(f"collection {name}: nothing wrong")
    if findings:
        raise typer.Exit(1)


def rebuild(context: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Make words, vectors and Chroma agree with the record again; nothing is embedded.

    Exit code 1 if anything is still wrong afterwards.
    """
    from rag_adapt.retrieval.catalog import collection_folder
    from rag_adapt.retrieval.rebuild import rebuild_collection
    from rag_adapt.retrieval.remembered import VECTORS

    settings = settings_of(context)
    folder = collection_folder(settings.indexes, name)
    rebuilt = rebuild_collection(folder, remembered=settings.home / VECTORS)
    if as_json:
        print_json(asdict(rebuilt))
    else:
        chroma = ", Chroma filled" if rebuilt.chroma else ""
        typer.echo(
            f"rebuilt {name}: words of {rebuilt.chunks} chunks, {rebuilt.vectors} vectors found "
            f"again, {rebuilt.dropped} dropped, {rebuilt.forgotten} forgotten{chroma}"
        )
        _print_findings(name, rebuilt.left)
    if rebuilt.left:
        raise typer.Exit(1)


def _print_findings(name: str, findings: "Sequence[Finding]") -> None:
    if findings:
        rows = [(each.subject, each.problem, each.remedy) for each in findings]
        print_table(("subject", "problem", "remedy"), rows, title=f"collection {name}")
