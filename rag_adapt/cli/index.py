"""`rag-adapt index`: build, search, list and remove collections; the rest by its own files.

It does not know how any of it is done.
"""

import shlex
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, get_args

import typer

from rag_adapt.cli import index_documents, index_log, index_mending
from rag_adapt.cli.console import bars, print_json, print_table, settings_of
from rag_adapt.retrieval.protocols import SearchMode

if TYPE_CHECKING:
    from rag_adapt.core.types import Passage
    from rag_adapt.retrieval.collection import Collection

    _Pages = tuple[int | None, int | None]

app = typer.Typer(help="Build and search collections of documents.", no_args_is_help=True)
app.command("sync")(index_documents.sync)
app.command("show")(index_documents.show)
app.command("check")(index_mending.check)
app.command("rebuild")(index_mending.rebuild)
app.command("log")(index_log.log)

Name = Annotated[str, typer.Argument(help="The collection: 3 to 48 of a-z, 0-9 and hyphens.")]
EmbedderName = Annotated[
    str | None,
    typer.Option(help="`default`, a local folder, a hub id, or `hashing` (no model)."),
]
BudgetTokens = Annotated[
    int | None,
    typer.Option(min=1, max=100_000, help="Estimated tokens of all passages together, at most."),
]
DenseWeight = Annotated[float, typer.Option(min=0.0, help="Of the ranking by meaning, if fused.")]
RankConstant = Annotated[
    int | None,
    typer.Option(min=0, help="Of 1 / (constant + rank), if fused: small favours top ranks."),
]
Neighbours = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        max=1.0,
        help="Share of its score that a chunk lends to the ones before and after it, if fused.",
    ),
]
Links = Annotated[
    str | None,
    typer.Option(
        "--links",
        metavar="KIND[,KIND]",
        help="Follow links: given, headings, citation, terms, meaning, `all` or `none`.",
    ),
]
LinkShare = Annotated[
    float | None,
    typer.Option(min=0.01, max=1.0, help="Share of its score that a chunk lends along a link."),
]
Levels = Annotated[
    str | None,
    typer.Option(help="Only facts (1), rules (2), concepts (3), bridges (4), in turn: `1,2`."),
]
LexicalWeight = Annotated[float, typer.Option(min=0.0, help="Of the ranking by words, if fused.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
BUDGET_HITS: Final = 200
"""Passages that are ranked where only a budget of tokens is given."""


@app.command("build")
def build(
    context: typer.Context,
    name: Name,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The documents' folder.")],
    chunker: Annotated[
        str,
        typer.Option(
            help="How to cut: recursive, windows, packing, fixed, tension, tension-embedded, or a "
            "control: random, random-embedded."
        ),
    ] = "recursive",
    chunk_tokens: Annotated[int, typer.Option(help="Estimated tokens of a chunk, at most.")] = 120,
    links: Annotated[
        str | None,
        typer.Option(
            metavar="KIND[,KIND]",
            help="Find levels, and links between chunks: given, headings, citation, terms, "
            "meaning, `all`, or `none` again; default those that it has.",
        ),
    ] = None,
    embedder: EmbedderName = None,
    as_json: AsJson = False,
) -> None:
    """Build a collection, or bring it up to date; an interrupted build goes on where it was."""
    from rag_adapt import wiring
    from rag_adapt.retrieval.build import build_collection
    from rag_adapt.retrieval.catalog import collection_folder
    from rag_adapt.retrieval.linking.registry import link_kinds
    from rag_adapt.retrieval.remembered import VECTORS

    settings = settings_of(context, embedder=embedder)
    target = collection_folder(settings.indexes, name)
    model = wiring.embedder(settings)
    with bars() as progress:
        report = build_collection(
            target,
            folder,
            model,
            chunker=chunker,
            chunk_tokens=chunk_tokens,
            links=None if links is None else link_kinds(links),
            remembered=settings.home / VECTORS,
            progress=progress,
        )
    if as_json:
        print_json({"collection": name, **asdict(report)})
        return
    index_documents.print_report(name, report)


@app.command("search")
def search(
    context: typer.Context,
    name: Name,
    query: Annotated[str, typer.Argument(help="What to look for, in plain words.")],
    k: Annotated[
        int | None, typer.Option("--k", min=1, max=1000, help="Hits; default from the settings.")
    ] = None,
    mode: Annotated[
        SearchMode | None, typer.Option(help="How to search; default from the settings.")
    ] = None,
    backend: Annotated[
        Literal["exact", "chroma", "chroma-server"] | None,
        typer.Option(help="Vector search; default exact up to 50,000 chunks."),
    ] = None,
    budget_tokens: BudgetTokens = None,
    dense_weight: DenseWeight = 1.0,
    lexical_weight: LexicalWeight = 1.0,
    rank_constant: RankConstant = None,
    neighbours: Neighbours = None,
    links: Links = None,
    link_share: LinkShare = None,
    levels: Levels = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Documents to search, as `care/*`; give it once for each pattern."),
    ] = None,
    diversity: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Avoid passages that say the same.")
    ] = 0.0,
    reranker: Annotated[
        Path | None, typer.Option(help="Folder of a cross-encoder that orders the best anew.")
    ] = None,
    embedder: EmbedderName = None,
    as_json: AsJson = False,
) -> None:
    """Find passages; offsets are characters of the parsed text."""
    from rag_adapt import wiring
    from rag_adapt.retrieval.catalog import collection_folder
    from rag_adapt.retrieval.collection import Collection
    from rag_adapt.retrieval.refine import CrossEncoderReranker, Refinement

    settings = settings_of(
        context,
        embedder=embedder,
        search_mode=mode,
        search_rank_constant=rank_constant,
        search_neighbours=neighbours,
        search_links=links,
        search_link_share=link_share,
        search_levels=levels,
    )
    how = wiring.search_options(settings)
    target = collection_folder(settings.indexes, name)
    most = k or (settings.top_k if budget_tokens is None else BUDGET_HITS)
    model = None if how.mode == "lexical" else wiring.embedder(settings)
    judge = CrossEncoderReranker(reranker, device=settings.device) if reranker else None
    with Collection.open(target, model, backend=backend or "auto") as collection:
        hits = collection.search(
            query,
            most,
            how.mode,
            weights=replace(how.weights, dense=dense_weight, lexical=lexical_weight),
            following=how.following,
            budget_tokens=budget_tokens,
            refinement=Refinement(only=tuple(only or ()), diversity=diversity, reranker=judge),
        )
        pages = [_pages(collection, hit) for hit in hits]
        head = {"collection": name, "content_hash": collection.content_hash, "query": query}
    if as_json:
        print_json(
            {
                **head,
                "mode": how.mode,
                "hits": [
                    {**asdict(hit), "page": page[0], "last_page": page[1]}
                    for hit, page in zip(hits, pages, strict=True)
                ],
            }
        )
        return
    _print_hits(hits, pages)


@app.command("eval")
def evaluate(
    context: typer.Context,
    name: Name,
    questions: Annotated[
        Path, typer.Option(help="JSONL: `question`, `references` (`document`, `start`, `end`).")
    ],
    k: Annotated[
        int | None, typer.Option("--k", min=1, max=1000, help="Hits; default from the settings.")
    ] = None,
    budget_tokens: BudgetTokens = None,
    mode: Annotated[
        list[str] | None, typer.Option(help="Give it once for each; default all three.")
    ] = None,
    dense_weight: DenseWeight = 1.0,
    lexical_weight: LexicalWeight = 1.0,
    rank_constant: RankConstant = None,
    neighbours: Neighbours = None,
    links: Links = None,
    link_share: LinkShare = None,
    levels: Levels = None,
    embedder: EmbedderName = None,
    as_json: AsJson = False,
) -> None:
    """Measure search on questions whose answers' places are known, and compare modes in pairs.

    With `--links` every mode is asked without links, with them, and with as many shuffled ones.
    """
    from rag_adapt import wiring
    from rag_adapt.cli.index_eval import Asked, measured, print_quality

    settings = settings_of(
        context,
        embedder=embedder,
        search_rank_constant=rank_constant,
        search_neighbours=neighbours,
        search_links=links,
        search_link_share=link_share,
        search_levels=levels,
    )
    how = wiring.search_options(settings)
    asked = Asked(
        collection=name,
        questions=questions,
        modes=_modes(mode or ["lexical", "dense", "fused"]),
        k=k or (settings.top_k if budget_tokens is None else BUDGET_HITS),
        budget_tokens=budget_tokens,
        weights=replace(how.weights, dense=dense_weight, lexical=lexical_weight),
        following=how.following,
    )
    quality = measured(settings, asked)
    if as_json:
        print_json({"collection": name, "k": asked.k, "budget_tokens": budget_tokens, **quality})
        return
    print_quality(quality)


@app.command("list")
def list_(context: typer.Context, as_json: AsJson = False) -> None:
    """Show what collections there are."""
    from rag_adapt.retrieval.catalog import list_collections

    found = list_collections(settings_of(context).indexes)
    if as_json:
        print_json([asdict(each) for each in found])
    elif found:
        print_table(
            ("name", "state", "documents", "failed", "chunks", "embedder", "hash"),
            [
                (
                    each.name,
                    each.state,
                    str(each.documents),
                    str(each.failed),
                    str(each.chunks),
                    each.embedder,
                    each.content_hash,
                )
                for each in found
            ],
        )
    else:
        typer.echo("no collections yet; build one: rag-adapt index build NAME DIR")


@app.command("remove")
def remove(
    context: typer.Context,
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete a collection and what was uploaded for it; other documents stay where they are."""
    from rag_adapt.retrieval.quoting import RUNS
    from rag_adapt.retrieval.removal import remove_collection

    settings = settings_of(context)
    if not yes and not typer.confirm(f"Delete collection {name}?"):
        typer.echo(f"kept {name}")
        return
    gone = remove_collection(settings.indexes, name, home=settings.home)
    if as_json:
        print_json(asdict(gone))
        return
    typer.echo(f"removed {name}: {gone.bytes / 1e6:.1f} MB")
    if gone.runs:
        typer.echo(f"{len(gone.runs)} run(s) still quote it: {', '.join(gone.runs)}")
        runs = [str(settings.home / RUNS / run) for run in gone.runs]
        typer.echo(f"delete them: rm -r {shlex.join(runs)}")
    if gone.traces or gone.conversations:
        typer.echo(
            f"{gone.traces} trace(s) and {gone.conversations} conversation(s) of the service still "
            f"quote it; delete them: rag-adapt traces remove --collection {name}"
        )


def _print_hits(hits: Sequence["Passage"], pages: Sequence["_Pages"]) -> None:
    if not hits:
        typer.echo("nothing found")
        return
    rows = [
        (
            f"{hit.score:.4f}",
            f"{hit.document}:{hit.start}-{hit.end}{_on(page)}{_through(hit)}",
            hit.text,
        )
        for hit, page in zip(hits, pages, strict=True)
    ]
    print_table(("score", "place", "text"), rows)


def _pages(collection: "Collection", hit: "Passage") -> "_Pages":
    """The pages on which a passage begins and ends."""
    first = collection.page(hit.document, hit.start)
    return first, collection.page(hit.document, hit.end - 1)


def _on(pages: "_Pages") -> str:
    first, last = pages
    if first is None:
        return ""
    return f" (page {first})" if first == last else f" (pages {first}-{last})"


def _through(hit: "Passage") -> str:
    """By which link it was found, if it was found by one."""
    via = asdict(hit).get("via")
    if via is None:
        return ""
    source = via["source"]
    where = f"{source['document']}:{source['start']}-{source['end']}"
    return f" ({via['kind']}: {via['relation']}, from {where})"


def _modes(asked: Sequence[str]) -> tuple[SearchMode, ...]:
    """Each once; Typer knows no lists of literals."""
    known: tuple[SearchMode, ...] = get_args(SearchMode)
    if strange := sorted(set(asked) - set(known)):
        raise typer.BadParameter(f"{strange[0]!r} is not one of {', '.join(known)}")
    return tuple(each for each in known if each in asked)
