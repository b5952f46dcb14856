"""What `rag-adapt index eval` does: open a collection, measure search on questions, print it.

It does not know how anything is measured.
"""

from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rag_adapt.cli.console import bars, print_table
from rag_adapt.retrieval.protocols import SearchMode

if TYPE_CHECKING:
    from rag_adapt.retrieval.fuse import FusionWeights
    from rag_adapt.retrieval.linking.follow import Following
    from rag_adapt.settings import Settings

NAMES: Final = {
    "recall": "recall@k",
    "precision": "precision@k",
    "mrr": "MRR",
    "ndcg": "nDCG",
    "token_recall": "token recall",
    "token_precision": "token precision",
    "iou": "IoU",
}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is to be measured."""

    collection: str
    questions: Path
    modes: tuple[SearchMode, ...]
    k: int
    budget_tokens: int | None
    weights: "FusionWeights"
    following: "Following"


def measured(settings: "Settings", asked: Asked) -> dict[str, Any]:
    """`bench.search_quality.Quality` as plain JSON, and the collection's `content_hash`.

    Raises:
        CollectionError: no such collection, another embedder, or questions that cannot be used.
    """
    from rag_adapt import wiring
    from rag_adapt.bench.search_quality import measure
    from rag_adapt.bench.search_questions import read_questions
    from rag_adapt.retrieval.catalog import collection_folder
    from rag_adapt.retrieval.collection import Collection

    folder = collection_folder(settings.indexes, asked.collection)
    model = None if asked.modes == ("lexical",) else wiring.embedder(settings)
    with Collection.open(folder, model) as collection, bars() as progress:
        texts = {document: collection.text(document) for document in collection.documents()}
        searches = {
            f"{mode}{name}": partial(
                collection.search,
                k=asked.k,
                mode=mode,
                weights=asked.weights,
                following=following,
                budget_tokens=asked.budget_tokens,
            )
            for mode in asked.modes
            for name, following in _followings(asked.following).items()
        }
        quality = measure(
            read_questions(asked.questions, texts), searches, texts, collection.spans(), progress
        )
        return {"content_hash": collection.content_hash, **asdict(quality)}


def _followings(asked: "Following") -> "dict[str, Following]":
    """Links that are followed come with their two controls: none, and shuffled ones."""
    if not asked.kinds:
        return {"": asked}
    return {
        "": replace(asked, kinds=()),
        "+links": asked,
        "+shuffled": replace(asked, shuffle=0),
    }


def print_quality(quality: dict[str, Any]) -> None:
    """Two tables: every mode, and every pair of them."""
    metrics = list(NAMES)
    rows = [
        (
            one["name"],
            f"{one['passages']:.1f}",
            f"{one['tokens']:.0f}",
            *(_percent(one["metrics"][metric]) for metric in metrics),
        )
        for one in quality["measured"]
    ]
    counted = f"{quality['questions']} questions, {quality['clusters']} drawn clusters"
    columns = ("search", "passages", "tokens", *NAMES.values())
    print_table(columns, rows, title=f"% with 95 % intervals, {counted}")
    if pairs := [
        (f"{one['b']} - {one['a']}", *(_points(one["metrics"][metric]) for metric in metrics))
        for one in quality["differences"]
    ]:
        print_table(("points", *NAMES.values()), pairs, title="paired differences")


def _percent(estimate: dict[str, float]) -> str:
    value, low, high = (100.0 * estimate[key] for key in ("value", "low", "high"))
    return f"{value:.1f} [{low:.1f}, {high:.1f}]"


def _points(estimate: dict[str, float]) -> str:
    value, low, high = (100.0 * estimate[key] for key in ("value", "low", "high"))
    return f"{value:+.1f} [{low:+.1f}, {high:+.1f}]"
