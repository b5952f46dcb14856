"""What a search costs beside the least it could cost: embed the query, one matrix product.

It does not know how good the hits are. Run it with `python -m benchmarks.retrieval`; both sides
are measured in turn in one process, on the same queries and vectors, and printed as a ratio.
"""

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rag_adapt.models.resolve import resolve_model
from rag_adapt.retrieval.build import build_collection
from rag_adapt.retrieval.collection import Collection
from rag_adapt.retrieval.embed import (
    CachedEmbedder,
    HashingEmbedder,
    SentenceTransformerEmbedder,
)
from rag_adapt.retrieval.protocols import Embedder
from rag_adapt.retrieval.record import Record
from rag_adapt.settings import load_settings

WORDS: Final = (
    "kettle lid water steam filter handle switch base cord light sensor valve pump tank spout "
    "plate spring screw seal clock timer alarm fuse plug lamp knob panel drawer hinge rail"
).split()
K: Final = 4

Vectors = NDArray[np.float32]


def main(arguments: Sequence[str]) -> None:
    """Build a collection of made-up facts, then time searches."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=2000)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--embedder", default="default", help="`hashing` needs no model")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        _measure(Path(name), options.chunks, options.queries, _embedder(options.embedder))


def _embedder(name: str) -> Embedder:
    if name == "hashing":
        return HashingEmbedder()
    settings = load_settings()
    files = resolve_model(name, home=settings.home, kind="embedder")
    return SentenceTransformerEmbedder(
        path=files.path, weights=files.weights, name=files.name, device=settings.device
    )


def _measure(place: Path, chunks: int, queries: int, model: Embedder) -> None:
    draw = random.Random(0)
    source = place / "source"
    source.mkdir()
    for number in range(chunks):
        fact = " ".join(draw.choices(WORDS, k=12))
        (source / f"{number:06}.txt").write_text(f"Part {number}: {fact}.")
    folder = place / "indexes" / "benchmark"
    report = build_collection(folder, source, model)
    print(f"{report.chunks} chunks built in {report.seconds:.1f} s, {report.bytes / 1e6:.1f} MB")
    questions = [" ".join(draw.choices(WORDS, k=6)) for _ in range(queries)]
    cached = CachedEmbedder(model, path=place / "cache.db")
    record = Record.read(folder)
    meta = record.meta()
    assert meta is not None  # it was just built
    _, matrix = record.matrix(meta)
    record.close()
    with Collection.open(folder, cached) as collection:
        _compare(collection, model, matrix, questions)


def _compare(
    collection: Collection, model: Embedder, matrix: Vectors, questions: Sequence[str]
) -> None:
    sides: dict[str, Callable[[str], object]] = {
        "bare embed + matrix product": lambda query: _bare(model, matrix, query),
        "search, dense, exact": lambda query: collection.search(f"{query}?", K, "dense"),
        "search, lexical": lambda query: collection.search(query, K, "lexical"),
        "search, fused": lambda query: collection.search(f"{query}!", K, "fused"),
    }
    times: dict[str, list[float]] = {name: [] for name in sides}
    for warm in ("warm up", "once more"):
        for ask in sides.values():
            ask(warm)
    for question in questions:
        for name, ask in sides.items():
            started = time.perf_counter()
            ask(question)
            times[name].append(time.perf_counter() - started)
    bare = statistics.median(times["bare embed + matrix product"])
    for name, seconds in times.items():
        p50 = statistics.median(seconds)
        print(f"{name:30} p50 {p50 * 1000:7.2f} ms   {p50 / bare:5.2f} x bare")


def _bare(model: Embedder, matrix: Vectors, query: str) -> object:
    scores = matrix @ model.embed([query])[0]
    best = np.argpartition(-scores, K)[:K]
    return best[np.argsort(-scores[best])]


if __name__ == "__main__":
    main(sys.argv[1:])
