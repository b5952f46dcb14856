"""What it costs to get documents in: beside embedding alone, and again after a few changed.

It does not know how good the passages are. Run it with `python -m benchmarks.ingestion`, or a part
of it with `--only`; every figure is a ratio of two times measured in turn in one process.
"""

import argparse
import functools
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from rag_adapt.models.files import ModelFiles
from rag_adapt.models.native import set_native_defaults
from rag_adapt.models.resolve import resolve_model
from rag_adapt.retrieval.build import BATCH, build_collection, sync_collection
from rag_adapt.retrieval.chunk import RecursiveChunker, embedded_text
from rag_adapt.retrieval.embed import (
    CachedEmbedder,
    HashingEmbedder,
    SentenceTransformerEmbedder,
    WantedPrecision,
    shown,
)
from rag_adapt.retrieval.protocols import Embedder
from rag_adapt.retrieval.record import Record
from rag_adapt.settings import load_settings

PARTS: Final = ("embedding", "ingestion", "sync")
ROOT: Final = Path(__file__).parents[1]
TEXTS: Final = 96
"""That our embedder and the library are given."""
WORDS: Final = (
    "kettle lid water steam filter handle switch base cord light sensor valve pump tank spout "
    "plate spring screw seal clock timer alarm fuse plug lamp knob panel drawer hinge rail "
    "the of and to in it is that for on with as by at from"
).split()
PARAGRAPHS: Final = 4
"""Of a document; each becomes a chunk, more or less."""
PAGES: Final = 4
"""One document in so many is a page of HTML, which a process of its own parses."""
CHANGED: Final = 100
"""One document in so many changes before the second time."""


def main(arguments: Sequence[str]) -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=10_000, help="for the hashing embedder")
    parser.add_argument("--few", type=int, default=300, help="for the default embedder")
    parser.add_argument("--rounds", type=int, default=3, help="of embedding, the median counts")
    parser.add_argument("--only", choices=PARTS, nargs="+", default=PARTS)
    options = parser.parse_args(arguments)
    set_native_defaults()
    files = resolve_model("default", home=load_settings().home, kind="embedder")
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        if "embedding" in options.only:
            _beside_the_library(files, _real_texts(), options.rounds)
        if "ingestion" in options.only:
            model = _embedder(files, "auto")
            cached = CachedEmbedder(model, path=place / "default" / "vectors.db")
            _ingest(place / "default", options.few, model, cached)
        if "sync" in options.only:
            _ingest(place / "hashing", options.documents, HashingEmbedder(), HashingEmbedder())


def _embedder(files: ModelFiles, precision: WantedPrecision) -> SentenceTransformerEmbedder:
    model = SentenceTransformerEmbedder(
        path=files.path, weights=files.weights, name=files.name, device="cpu", precision=precision
    )
    model.embed(["warm up"])
    return model


def _real_texts() -> list[str]:
    """Our own documentation, cut into passages of about 200 tokens."""
    found = []
    for path in sorted((ROOT / "docs").glob("*.md")):
        text = path.read_text()
        found += [text[each.start : each.end] for each in RecursiveChunker(tokens=200).chunk(text)]
    return found[:: max(1, len(found) // TEXTS)][:TEXTS]


def _ingest(place: Path, documents: int, model: Embedder, used: Embedder) -> None:
    """Build, embed the same texts alone, change one document in a hundred, follow.

    Args:
        place: A new folder for documents and collection.
        documents: How many there are.
        model: What embeds alone.
        used: What the collection is built with: the same one, or a cache before it.
    """
    draw = random.Random(0)
    source, folder = place / "source", place / "benchmark"
    source.mkdir(parents=True)
    for number in range(documents):
        _write(source, number, draw)
    print(f"{model.identity.name}: {documents} documents, a quarter of them HTML")
    built, whole = _timed(lambda: build_collection(folder, source, used))
    texts = _texts(place)
    _, alone = _timed(lambda: _alone(model, texts))
    print(f"  {built.chunks} chunks, {built.bytes / 1e6:.1f} MB, full build {whole.clock:.1f} s")
    print(f"  speed of the build beside embedding alone: {alone.of(whole)}", flush=True)
    for number in range(0, documents, CHANGED):
        _write(source, number, draw)
    again, follow = _timed(lambda: sync_collection(folder, source, used))
    print(
        f"  sync, {again.parsed} changed ({again.embedded} texts): {follow.of(whole)} of the build"
    )
    idle, nothing = _timed(lambda: sync_collection(folder, source, used))
    assert idle.unchanged
    print(f"  sync, nothing changed: {nothing.of(whole)} of the build")


def _write(source: Path, number: int, draw: random.Random) -> None:
    title = f"Part {number}"
    told = [" ".join(draw.choices(WORDS, k=draw.randint(40, 90))) for _ in range(PARAGRAPHS)]
    if number % PAGES == 0:
        body = "".join(f"<h2>{n}</h2><p>{each}.</p>" for n, each in enumerate(told))
        (source / f"{number:06}.html").write_text(f"<h1>{title}</h1>{body}")
    else:
        body = "\n\n".join(f"## {n}\n\n{each}." for n, each in enumerate(told))
        (source / f"{number:06}.md").write_text(f"# {title}\n\n{body}\n")


def _texts(place: Path) -> list[str]:
    """What was embedded, each text once."""
    record = Record.read(place / "benchmark")
    documents = {row.path: row.text or "" for row in record.documents()}
    found = {embedded_text(documents[chunk.document], chunk): None for chunk in record.chunks()}
    record.close()
    return list(found)


def _alone(model: Embedder, texts: Sequence[str]) -> None:
    """Embed the texts in batches as long as a build's, long ones first."""
    ordered = sorted(texts, key=len, reverse=True)
    for first in range(0, len(ordered), BATCH):
        model.embed(ordered[first : first + BATCH])


def _beside_the_library(files: ModelFiles, texts: Sequence[str], rounds: int) -> None:
    """Our embedder beside `SentenceTransformer.encode` as it comes, taken in turns."""
    from sentence_transformers import SentenceTransformer

    library: Any = SentenceTransformer(str(files.path), device="cpu", local_files_only=True)
    model = _embedder(files, "auto")
    tokens = sum(len(each) for each in library.tokenizer(list(texts))["input_ids"])
    print(
        f"SentenceTransformer.encode at its defaults, {len(texts)} texts of "
        f"{tokens // len(texts)} tokens on average, beside {shown(model.identity.weights)}"
    )
    library.encode(list(texts[:BATCH]), show_progress_bar=False)
    model.embed(texts[:BATCH])
    ratios = []
    for _ in range(rounds):
        reference, theirs = _timed(lambda: library.encode(list(texts), show_progress_bar=False))
        found, ours = _timed(functools.partial(model.embed, texts))
        ratios.append(theirs.clock / ours.clock)
        print(f"  {theirs.clock:.2f} s, ours {theirs.of(ours)} times as fast", flush=True)
    cosines = np.sum(reference * found, axis=1) / np.linalg.norm(reference, axis=1)
    print(
        f"  median {statistics.median(ratios):.2f} times as fast; cosine to theirs at least "
        f"{cosines.min():.6f}, on average {cosines.mean():.6f}"
    )


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What a piece of work took, its child processes included."""

    clock: float
    cpu: float
    """Seconds of computing: steadier than the clock where others work beside it."""

    def of(self, other: "Spent") -> str:
        """As a share of another one."""
        return f"{self.clock / other.clock:.3f} (CPU {self.cpu / other.cpu:.3f})"


def _timed(work: Callable[[], Any]) -> tuple[Any, Spent]:
    clock, before = time.perf_counter(), os.times()
    found = work()
    after = os.times()
    return found, Spent(clock=time.perf_counter() - clock, cpu=sum(after[:4]) - sum(before[:4]))


if __name__ == "__main__":
    main(sys.argv[1:])
