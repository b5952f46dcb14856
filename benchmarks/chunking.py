"""Ways of cutting and searching on questions that others wrote, at equal retrieved tokens.

It does not know how to make the data: `python -m benchmarks.chunking DATA` reads the folder of
brandonstarxel/chunking_evaluation (`questions.csv` and `corpora/`). Collections and vectors are
kept under `--work`, so that a run that was stopped goes on where it was.
"""

import argparse
import csv
import json
import random
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from rag_adapt.bench.search_questions import SearchQuestion
from rag_adapt.bench.search_scores import Ruler, score
from rag_adapt.core.types import Estimate, Passage, Span
from rag_adapt.models.resolve import resolve_model
from rag_adapt.retrieval.budget import within_budget
from rag_adapt.retrieval.build import build_collection
from rag_adapt.retrieval.collection import Collection
from rag_adapt.retrieval.embed import HashingEmbedder, open_embedder
from rag_adapt.retrieval.fuse import FusionWeights, lend
from rag_adapt.retrieval.protocols import Embedder, Neighbour, SearchMode
from rag_adapt.settings import load_settings
from rag_adapt.stats.bootstrap import bootstrap_mean
from rag_adapt.stats.intervals import paired_difference

DEPTH: Final = 200
"""Passages that are ranked before the budget cuts."""
BASELINE: Final = "packing:309:lexical"
"""200 words of whole sentences, found by BM25."""
CONTROLS: Final = {"tension": "random", "tension-embedded": "random-embedded"}
MODES: Final[dict[str, SearchMode]] = {
    "lexical": "lexical",
    "dense": "dense",
    "fused": "fused",
}
HOW: Final = [*MODES, "fused+real", "fused+shuffled"]
"""How to search; `+real` with scores lent to neighbours, `+shuffled` to any others."""
GRID: Final = [
    FusionWeights(rank_constant=constant, neighbours=share)
    for constant in (5, 10)
    for share in (0.2, 0.3, 0.4)
]
Numbers = list[float]


@dataclass(frozen=True, kw_only=True)
class Question:
    """One question of the data."""

    corpus: str
    asked: SearchQuestion
    contents: tuple[str, ...]
    """What stands at its references, word for word."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One way of cutting and searching: scores by budget, one per question."""

    name: str
    recall: Mapping[int, Numbers]
    iou: Mapping[int, Numbers]
    tokens: Mapping[int, float]
    """Mean retrieved ones."""


def main(arguments: Sequence[str]) -> None:
    """Measure what was asked for, print it, compare it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, default=Path(".rag-adapt/chunking"))
    parser.add_argument("--rows", nargs="+", default=["recursive:120"], metavar="CHUNKER:TOKENS")
    parser.add_argument("--modes", nargs="+", default=HOW, choices=HOW)
    parser.add_argument("--budgets", nargs="+", type=int, default=[300, 500, 700, 1000, 1500])
    parser.add_argument("--dense-weight", type=float, default=1.0)
    parser.add_argument("--lexical-weight", type=float, default=1.0)
    parser.add_argument("--rank-constant", type=int, default=60)
    parser.add_argument("--neighbours", type=float, default=0.3)
    parser.add_argument(
        "--choose",
        action="store_true",
        help="also choose constant and neighbours' share on four corpora and ask the fifth",
    )
    options = parser.parse_args(arguments)
    weights = FusionWeights(
        dense=options.dense_weight,
        lexical=options.lexical_weight,
        rank_constant=options.rank_constant,
        neighbours=options.neighbours,
    )
    bench = Bench(options.data, options.work, options.budgets, weights)
    rows = {BASELINE: bench.row(BASELINE)}
    show(rows[BASELINE])
    for cut in options.rows:
        for mode in options.modes:
            name = f"{cut}:{mode}"
            rows[name] = bench.row(name)
            show(rows[name])
    corpora = [question.corpus for question in bench.questions]
    if options.choose:
        rows["chosen elsewhere"] = chosen(bench, f"{options.rows[0]}:fused+real", corpora)
        show(rows["chosen elsewhere"])
    compare(rows, corpora)


def chosen(bench: "Bench", name: str, corpora: Sequence[str]) -> Row:
    """Each corpus asked with the setting of `GRID` that was best on the mean of the others."""
    tried = [bench.row(name, weights) for weights in GRID]
    best = {corpus: _best(tried, corpora, without=corpus) for corpus in set(corpora)}
    held_out = [best[corpus] for corpus in corpora]
    return Row(
        name="chosen elsewhere",
        recall={
            budget: [row.recall[budget][at] for at, row in enumerate(held_out)]
            for budget in tried[0].recall
        },
        iou={
            budget: [row.iou[budget][at] for at, row in enumerate(held_out)]
            for budget in tried[0].iou
        },
        tokens=tried[0].tokens,
    )


def _best(tried: Sequence[Row], corpora: Sequence[str], *, without: str) -> Row:
    """Highest recall, all budgets and all other corpora counting alike."""
    others = sorted(set(corpora) - {without})

    def value(row: Row) -> float:
        return sum(
            mean([x for x, corpus in zip(scores, corpora, strict=True) if corpus == other])
            for scores in row.recall.values()
            for other in others
        )

    return max(tried, key=value)


class Bench:
    """The data, and what was built of it."""

    def __init__(
        self, data: Path, work: Path, budgets: Sequence[int], weights: FusionWeights
    ) -> None:
        self._source, self._work = work / "source", work
        self._budgets, self._weights = budgets, weights
        if not self._source.is_dir():
            shutil.copytree(data / "corpora", self._source)
        self.questions = tuple(read(data / "questions.csv"))
        self._model = default_embedder(work / "vectors.db")

    def row(self, name: str, weights: FusionWeights | None = None) -> Row:
        """Build what is needed and ask every question."""
        cut, tokens, how = name.split(":")
        mode, _, links = how.partition("+")
        # words alone need no vectors that mean anything
        plain = mode == "lexical" and not cut.endswith("-embedded")
        model: Embedder = HashingEmbedder(dimensions=2) if plain else self._model
        folder = self._work / "indexes" / f"{cut}-{tokens}{'-words' if plain else ''}"
        build_collection(folder, self._source, model, chunker=cut, chunk_tokens=int(tokens))
        with Collection.open(folder, model) as collection:
            texts = {document: collection.text(document) for document in collection.documents()}
            self._check(texts)
            search = partial(
                self._search, Linked(collection, links), mode, weights or self._weights
            )
            return self._asked(name, search, Ruler(texts))

    def _search(
        self, linked: "Linked", mode: str, weights: FusionWeights, question: str
    ) -> Sequence[Passage]:
        used = weights if linked.links == "real" else replace(weights, neighbours=0.0)
        found = linked.collection.search(question, DEPTH, MODES[mode], weights=used)
        if linked.links != "shuffled":
            return found
        return linked.lent(found, weights.neighbours)

    def _asked(self, name: str, search: Callable[[str], Sequence[Passage]], ruler: Ruler) -> Row:
        recall: dict[int, Numbers] = {budget: [] for budget in self._budgets}
        iou: dict[int, Numbers] = {budget: [] for budget in self._budgets}
        tokens = dict.fromkeys(self._budgets, 0.0)
        for question in self.questions:
            references = [ruler.places(span) for span in question.asked.references]
            found = search(question.asked.question)
            for budget in self._budgets:
                places = [
                    ruler.places(Span(document=hit.document, start=hit.start, end=hit.end))
                    for hit in within_budget(found, budget)
                ]
                scores = score(references, places, ())
                recall[budget].append(scores.token_recall)
                iou[budget].append(scores.iou)
                tokens[budget] += sum(map(len, places)) / len(self.questions)
        return Row(name=name, recall=recall, iou=iou, tokens=tokens)

    def _check(self, texts: Mapping[str, str]) -> None:
        """Offsets of the data must be offsets of the parsed texts."""
        for question in self.questions:
            for span, content in zip(question.asked.references, question.contents, strict=True):
                if texts[span.document][span.start : span.end] != content:
                    raise SystemExit(f"{span} does not hold {content!r}: the data does not fit")


class Linked:
    """A collection whose chunks are beside those that they stand beside, or beside any others.

    Args:
        collection: open.
        links: `real`, `shuffled` or nothing.
    """

    def __init__(self, collection: Collection, links: str) -> None:
        self.collection, self.links = collection, links
        spans = collection.spans()
        self._places = {(span.document, span.start): at for at, span in enumerate(spans)}
        self._spans = spans
        self._beside = random.Random(0).sample(range(len(spans)), len(spans))

    def lent(self, found: Sequence[Passage], share: float) -> Sequence[Passage]:
        """Scores lent to chunks drawn once at random, as many as stand beside a chunk."""
        at = [self._places[hit.document, hit.start] for hit in found]
        hits = [Neighbour(chunk=one, score=hit.score) for one, hit in zip(at, found, strict=True)]
        beside = {
            one: [
                self._beside[near] for near in (one - 1, one + 1) if 0 <= near < len(self._beside)
            ]
            for one in at
        }
        return [self._passage(hit) for hit in lend(hits, share, beside)[:DEPTH]]

    def _passage(self, hit: Neighbour) -> Passage:
        return replace(self.collection.passage(self._spans[hit.chunk]), score=hit.score)


def read(path: Path) -> Iterator[Question]:
    """The questions with their places."""
    with path.open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            document = f"{line['corpus_id']}.md"
            references = json.loads(line["references"])
            spans = [
                Span(document=document, start=each["start_index"], end=each["end_index"])
                for each in references
            ]
            yield Question(
                corpus=line["corpus_id"],
                asked=SearchQuestion(question=line["question"], references=tuple(spans)),
                contents=tuple(each["content"] for each in references),
            )


def default_embedder(cache: Path) -> Embedder:
    """The default one, its vectors kept."""
    settings = load_settings()
    files = resolve_model("default", home=settings.home, kind="embedder")
    return open_embedder(files, device=settings.device, cache_path=cache)


def show(row: Row) -> None:
    """Retrieved tokens, recall and IoU at every budget."""
    cells = [
        f"{row.tokens[budget]:.0f}: {mean(recall):5.1f} / {mean(row.iou[budget]):4.1f}"
        for budget, recall in row.recall.items()
    ]
    print(f"{row.name:32} recall / IoU %  " + "   ".join(cells), flush=True)


def compare(rows: Mapping[str, Row], corpora: Sequence[str]) -> None:
    """Every row against BM25 on packed sentences, tension and links against their controls."""
    pairs = [(BASELINE, name) for name in rows if name != BASELINE]
    for name in rows:
        cut, rest = name.split(":", 1)
        controls = (f"{CONTROLS.get(cut)}:{rest}", name.replace("+real", "+shuffled"))
        off = name.replace("+real", "")
        pairs += [(a, name) for a in (*controls, off) if a in rows and a != name]
    for a, b in pairs:
        for budget in rows[a].recall:
            one, other = rows[a].recall[budget], rows[b].recall[budget]
            gain = bootstrap_mean([y - x for x, y in zip(one, other, strict=True)], corpora)
            exact = paired_difference(one, other, corpora)
            print(
                f"{b} - {a} at {budget} tokens: recall {points(gain)} by bootstrap, "
                f"{points(exact)} by t with {exact.clusters} corpora"
            )


def points(estimate: Estimate) -> str:
    """In points, with the interval."""
    value, low, high = (100 * each for each in (estimate.value, estimate.low, estimate.high))
    return f"{value:+.1f} [{low:+.1f}, {high:+.1f}]"


def mean(values: Sequence[float]) -> float:
    """In percent."""
    return 100 * sum(values) / len(values)


if __name__ == "__main__":
    main(sys.argv[1:])
