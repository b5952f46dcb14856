"""`rag-adapt index sync` and `show`: a collection follows its folder, and says how it got on.

It does not know how any of it is done.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from rag_adapt.cli.console import bars, print_json, print_table, settings_of

if TYPE_CHECKING:
    from rag_adapt.retrieval.build import BuildReport
    from rag_adapt.retrieval.files import FileState

Name = Annotated[str, typer.Argument(help="The collection: 3 to 48 of a-z, 0-9 and hyphens.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def sync(
    context: typer.Context,
    name: Name,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The documents' folder.")],
    embedder: Annotated[
        str | None, typer.Option(help="Another one than before embeds everything anew.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Follow a folder: read only what is new or changed, forget what is gone, retry what failed."""
    from rag_adapt import wiring
    from rag_adapt.retrieval.build import sync_collection
    from rag_adapt.retrieval.catalog import collection_folder
    from rag_adapt.retrieval.remembered import VECTORS

    settings = settings_of(context, embedder=embedder)
    target = collection_folder(settings.indexes, name)
    model = wiring.embedder(settings)
    with bars() as progress:
        report = sync_collection(
            target, folder, model, remembered=settings.home / VECTORS, progress=progress
        )
    if as_json:
        print_json({"collection": name, **asdict(report)})
        return
    print_report(name, report, done="follows its folder")


def show(
    context: typer.Context,
    name: Name,
    state: Annotated[
        Literal["pending", "parsed", "embedded", "indexed", "failed"] | None,
        typer.Option(help="Only documents in this state."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show how far every document of a collection is, also while it is built."""
    from rag_adapt.retrieval.catalog import collection_folder
    from rag_adapt.retrieval.linking.levels import NAMES
    from rag_adapt.retrieval.linking.store import linked_in
    from rag_adapt.retrieval.progress import documents_of

    folder = collection_folder(settings_of(context).indexes, name)
    found = [each for each in documents_of(folder) if state in (None, each.state)]
    linked = linked_in(folder)
    if as_json:
        print_json(
            {
                "collection": name,
                "documents": [asdict(each) for each in found],
                **asdict(linked),
            }
        )
        return
    print_table(
        ("document", "state", "chunks", "pages", "remarks"),
        [
            (
                each.path,
                each.state,
                str(each.chunks),
                str(each.pages or ""),
                "; ".join(filter(None, (each.reason, *each.notes))),
            )
            for each in found
        ],
        title=f"collection {name}: {_counts([each.state for each in found])}",
    )
    if linked.kinds:
        rows = [(each.kind, each.relation, str(each.links)) for each in linked.links]
        rows += [(f"level {level}", NAMES[level], str(n)) for level, n in linked.levels.items()]
        print_table(("links and levels", "", "count"), rows)


def print_report(name: str, report: "BuildReport", *, done: str = "built") -> None:
    """What an update made, what it left out, and what it changed in the texts."""
    what = "is up to date" if report.unchanged else done
    typer.echo(
        f"collection {name} {what}: {report.documents} documents, {report.chunks} chunks "
        f"({report.embedded} texts embedded), {report.bytes / 1e6:.1f} MB, {report.seconds:.1f} s"
    )
    if report.failed:
        rows = [(each.path, each.reason) for each in report.failed]
        print_table(("left out", "why"), rows)
    _print_notes(report.notes)


def _print_notes(notes: Mapping[str, tuple[str, ...]]) -> None:
    if notes:
        print_table(("changed", "how"), [(path, "; ".join(each)) for path, each in notes.items()])


def _counts(states: "list[FileState]") -> str:
    counts = {state: states.count(state) for state in states}
    return ", ".join(f"{count} {state}" for state, count in counts.items()) or "no documents"
