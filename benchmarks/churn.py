"""What a collection is like after it was replaced many times, and what searching a large one costs.

It does not know meanings: what is replaced are words in random order with hashed vectors; the large
collection has a random vector of length 1 for each text. Every figure is a ratio of two things
measured in one process. Each way of searching has a process of its own, so that none of them finds
memory that another one left, and Chroma's index is filled before it is measured: in another one.

    python -m benchmarks.churn
    python -m benchmarks.churn --churned 0      # the large collection alone
"""

import argparse
import hashlib
import importlib
import multiprocessing
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil
from numpy.typing import NDArray

from rag_adapt.retrieval.build import build_collection
from rag_adapt.retrieval.chroma import ChromaIndex
from rag_adapt.retrieval.collection import Collection
from rag_adapt.retrieval.embed import HashingEmbedder
from rag_adapt.retrieval.exact import ExactIndex
from rag_adapt.retrieval.protocols import Backend, EmbedderIdentity
from rag_adapt.retrieval.record import Meta, Record

WORDS: Final = (
    "kettle lid water steam filter handle switch base cord light sensor valve pump tank spout "
    "plate spring screw seal clock timer alarm fuse plug lamp knob panel drawer hinge rail"
).split()
TOKENS: Final = 30
"""Of a chunk: a paragraph, and no two of them."""
DIMENSIONS: Final = 384
PARAGRAPHS: Final = 100
"""Of a document; each is a chunk."""
K: Final = 10

Vectors = NDArray[np.float32]


class RandomEmbedder:
    """A random direction for every text, always the same one."""

    @property
    def identity(self) -> EmbedderIdentity:
        """See `Embedder.identity`."""
        return EmbedderIdentity(name="random", weights=f"random-{DIMENSIONS}")

    def embed(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder.embed`."""
        rows = np.stack([_direction(text) for text in texts])
        made: Vectors = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return made


def main(arguments: Sequence[str]) -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--churned", type=int, default=5_000, help="chunks that are replaced")
    parser.add_argument("--replacements", type=int, default=16)
    parser.add_argument("--chunks", type=int, default=100_000, help="of the large collection")
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--backends", nargs="+", default=["exact", "chroma", "chroma-server"])
    options: Any = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        if options.churned:
            _churn(Path(name) / "churn", options.churned, options.replacements)
        if options.chunks:
            _search(Path(name) / "large", options.chunks, options.queries, options.backends)


def _churn(place: Path, chunks: int, replacements: int) -> None:
    """Replace everything so often, and compare with a collection that is fresh."""
    for number in range(replacements + 1):
        _write(place / "source", chunks, number)
        build_collection(place / "worn", place / "source", HashingEmbedder(), chunk_tokens=TOKENS)
        _recall(place / "worn", 1)  # Chroma is used between two replacements
    build_collection(place / "fresh", place / "source", HashingEmbedder(), chunk_tokens=TOKENS)
    worn, fresh = (_recall(place / name, 200) for name in ("worn", "fresh"))
    print(f"{replacements} full replacements of {chunks} chunks:")
    print(f"  recall@{K} against exact search: {worn:.4f}; of a fresh collection {fresh:.4f}")
    print(f"  disk: {_size(place / 'worn') / _size(place / 'fresh'):.3f} x fresh")


def _search(place: Path, chunks: int, queries: int, backends: Sequence[Backend]) -> None:
    """Search a large collection beside embedding and one matrix product."""
    _write(place / "source", chunks, 0)
    model = RandomEmbedder()
    report = build_collection(place / "large", place / "source", model, chunk_tokens=TOKENS)
    print(f"{report.chunks} chunks, {report.bytes / 1e6:.0f} MB", flush=True)
    for backend in backends:
        if backend != "exact":
            _alone(_fill, place / "large", backend)
        _alone(_measure, place / "large", backend, queries)


def _alone(work: Callable[..., None], *arguments: object) -> None:
    """Do it in a process of its own that begins with nothing.

    Raises:
        SystemExit: it failed; it has said why.
    """
    process = multiprocessing.get_context("spawn").Process(target=work, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(process.exitcode)


def _fill(folder: Path, backend: Backend) -> None:
    """Ask once: an index that is not there yet is filled."""
    started = time.perf_counter()
    with Collection.open(folder, RandomEmbedder(), backend=backend) as collection:
        collection.search("fill", K, "dense")
    print(f"  {backend}: filled in {time.perf_counter() - started:.0f} s", flush=True)


def _measure(folder: Path, backend: Backend, queries: int) -> None:
    """Search by one index that is there."""
    model, asked = RandomEmbedder(), [f"question {number}" for number in range(queries)]
    if backend != "exact":
        importlib.import_module("chromadb")  # the library itself is no part of what grows
    with Collection.open(folder, model, backend=backend) as collection:
        before = _memory()
        collection.search("warm up", K, "dense")
        grown = _memory() - before
        dense = _p50(partial(collection.search, k=K, mode="dense"), asked)
        fused = _p50(partial(collection.search, k=K, mode="fused"), asked)
        vectors = collection.info().chunks * DIMENSIONS * 4
    bare = _bare(folder, model, asked)
    print(
        f"  {backend}: dense {dense / bare:.2f} x, fused {fused / bare:.2f} x of embedding and "
        f"one matrix product ({bare * 1000:.1f} ms); memory grown by {grown / vectors:.2f} x "
        "the vectors",
        flush=True,
    )


def _bare(folder: Path, model: RandomEmbedder, asked: Sequence[str]) -> float:
    with closing(Record.read(folder)) as record:
        _, matrix = record.matrix(_meta(record))

    def ask(query: str) -> object:
        scores = matrix @ model.embed([query])[0]
        return np.argpartition(-scores, K)[:K]

    return _p50(ask, asked)


def _p50(ask: Callable[[str], object], asked: Sequence[str]) -> float:
    """Median seconds."""
    times = []
    for query in asked:
        started = time.perf_counter()
        ask(query)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def _recall(folder: Path, queries: int) -> float:
    with closing(Record.read(folder)) as record:
        chunks, matrix = record.matrix(_meta(record))
        exact, model = ExactIndex(chunks=chunks, matrix=matrix), HashingEmbedder()
        with closing(ChromaIndex.open(record, _meta(record))) as chroma:
            shares = []
            draw = random.Random(-1)
            asked = [" ".join(draw.choices(WORDS, k=6)) for _ in range(queries)]
            for vector in model.embed(asked):
                best = {hit.chunk for hit in exact.nearest(vector, K)}
                shares.append(len(best & {hit.chunk for hit in chroma.nearest(vector, K)}) / K)
    return float(np.mean(shares))


def _write(source: Path, chunks: int, number: int) -> None:
    source.mkdir(parents=True, exist_ok=True)
    for document in range(-(-chunks // PARAGRAPHS)):
        draw = random.Random(number * 100_000 + document)
        told = (
            f"Fact {document * PARAGRAPHS + each}: {' '.join(draw.choices(WORDS, k=14))}."
            for each in range(min(PARAGRAPHS, chunks - document * PARAGRAPHS))
        )
        (source / f"{document:05}.txt").write_text("\n\n".join(told))


def _direction(text: str) -> Vectors:
    seed = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())
    return np.random.Generator(np.random.SFC64(seed)).standard_normal(DIMENSIONS, dtype=np.float32)


def _meta(record: Record) -> Meta:
    meta = record.meta()
    assert meta is not None  # it was just built
    return meta


def _memory() -> int:
    """Bytes of this process, and of a server that it started."""
    process = psutil.Process()
    family = [process, *process.children(recursive=True)]
    return sum(each.memory_info().rss for each in family)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    main(sys.argv[1:])
