"""Ways of cutting and searching on questions that others wrote, at equal retrieved tokens.

It does not know how to make the data: `python -m benchmarks.chunking DATA` reads the folder of
brandonstarxel/chunking_evaluation (`questions.csv` and `corpora/`). Collections, vectors and every
measured row are kept under `--work`: a run that was stopped goes on where it was, and the last one
prints the whole table.
"""

import argparse
import csv
import hashlib
import json
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.chunking_rows import Row, chosen_elsewhere
from benchmarks.chunking_searches import CUTS, HOW, OWN, Searches, searches_of
from benchmarks.chunking_tables import print_differences, print_rows
from rag_adapt.bench.search_questions import SearchQuestion
from rag_adapt.bench.search_scores import Ruler, score
from rag_adapt.core.types import Span
from rag_adapt.models.resolve import resolve_model
from rag_adapt.retrieval.budget import within_budget
from rag_adapt.retrieval.build import build_collection
from rag_adapt.retrieval.collection import Collection
from rag_adapt.retrieval.embed import HashingEmbedder, Precision, open_embedder
from rag_adapt.retrieval.linking.registry import link_kinds
from rag_adapt.retrieval.linking.units import LinkKind
from rag_adapt.retrieval.protocols import Embedder
from rag_adapt.settings import load_settings

VERSION: Final = 1
"""Part of every kept row's key; grows when search or scoring changes on purpose."""
BASELINES: Final = ("packing:309:lexical", "packing:120:lexical")
"""BM25 on packed sentences, of 200 words and of the size of our chunks."""
KINDS: Final[tuple[LinkKind, ...]] = ("terms", "meaning")
"""Links that are found: the five texts have no headings and name no places or units."""
BUDGETS: Final = (300, 500, 700, 1000, 1500)


@dataclass(frozen=True, kw_only=True)
class Question:
    """One question of the data."""

    corpus: str
    asked: SearchQuestion
    contents: tuple[str, ...]
    """What stands at its references, word for word."""


def main(arguments: Sequence[str]) -> None:
    """Measure what is not kept yet, then print all of it and compare it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, default=Path(".rag-adapt/chunking"))
    parser.add_argument("--cuts", nargs="+", default=list(CUTS), choices=CUTS)
    parser.add_argument("--tokens", type=int, default=120, help="Of a chunk, at most.")
    parser.add_argument("--links", default=",".join(KINDS), help="Kinds followed, together.")
    parser.add_argument("--budgets", nargs="+", type=int, default=list(BUDGETS))
    parser.add_argument("--fresh", action="store_true", help="Forget rows that were kept.")
    options = parser.parse_args(arguments)
    if options.fresh:
        shutil.rmtree(options.work / "rows", ignore_errors=True)
    bench = Bench(options.data, options.work, options.budgets)
    kinds = link_kinds(options.links)
    rows = {name: bench.row(name) for name in BASELINES}
    for cut in options.cuts:
        for how in (*HOW, *OWN) if cut == options.cuts[0] else HOW:
            name = f"{cut}:{options.tokens}:{how}"
            rows[name] = bench.row(name, kinds="+".join(kinds))
    first = f"{options.cuts[0]}:{options.tokens}"
    corpora = [question.corpus for question in bench.questions]
    for name, grid in bench.grids(first).items():
        rows[name] = chosen_elsewhere(name, grid, corpora)
    print_rows(rows)
    print_differences(rows, corpora, first=first, baselines=BASELINES)


class Bench:
    """The data, what was built of it with which links and vectors, and what was measured."""

    def __init__(
        self,
        data: Path,
        work: Path,
        budgets: Sequence[int],
        *,
        links: Sequence[LinkKind] = KINDS,
        precision: Precision = "float32",
    ) -> None:
        self._source, self._work, self._budgets = work / "source", work, list(budgets)
        self._links = tuple(links)
        if not self._source.is_dir():
            shutil.copytree(data / "corpora", self._source)
        self.questions = tuple(read(data / "questions.csv"))
        self._model = default_embedder(work / "vectors.db", precision)

    def grids(self, first: str) -> dict[str, list[Row]]:
        """Settings among which every corpus is given the best of the other four."""
        near = [
            self.row(f"{first}:fused({constant},{share})")
            for constant in (5, 10)
            for share in (0.2, 0.3, 0.4)
        ]
        links = {
            control: [
                self.row(f"{first}:fused+{control}({share})", kinds=kind)
                for kind in KINDS
                for share in (0.1, 0.3)
            ]
            for control in ("links", "shuffled")
        }
        return {
            f"{first}:chosen": near,
            f"{first}:chosen+links": links["links"],
            f"{first}:chosen+shuffled": links["shuffled"],
        }

    def row(self, name: str, *, kinds: str = "") -> Row:
        """Build what is needed and ask every question, unless that was done before."""
        cut, tokens, how = name.split(":")
        # words alone need no vectors that mean anything
        plain = how == "lexical" and not cut.endswith("-embedded")
        model: Embedder = HashingEmbedder(dimensions=2) if plain else self._model
        folder = self._work / "indexes" / f"{cut}-{tokens}{'-words' if plain else ''}"
        links = () if plain else self._links
        asked = {
            "name": name,
            "kinds": kinds if "+" in how else "",
            "budgets": self._budgets,
            "weights": model.identity.weights,
        }
        kept = self._kept(asked)
        if not kept.is_file():
            build_collection(
                folder, self._source, model, chunker=cut, chunk_tokens=int(tokens), links=links
            )
            with Collection.open(folder, model) as collection:
                row = self._asked(name, searches_of(collection, how, kinds))
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps(asdict(row)), encoding="utf-8")
            print(f"measured {name} {kinds}".rstrip(), file=sys.stderr, flush=True)
        return Row.from_json(json.loads(kept.read_text(encoding="utf-8")))

    def _kept(self, asked: Mapping[str, Any]) -> Path:
        text = json.dumps({"version": VERSION, **asked}, sort_keys=True)
        return self._work / "rows" / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"

    def _asked(self, name: str, searches: Searches) -> Row:
        self._check(searches.texts)
        ruler = Ruler(searches.texts)
        row = Row.empty(name, self._budgets)
        for question in self.questions:
            references = [ruler.places(span) for span in question.asked.references]
            found = searches.search(question.asked.question)
            for budget in self._budgets:
                places = [
                    ruler.places(Span(document=hit.document, start=hit.start, end=hit.end))
                    for hit in within_budget(found, budget)
                ]
                scores = score(references, places, ())
                row.recall[budget].append(scores.token_recall)
                row.iou[budget].append(scores.iou)
                row.tokens[budget] += sum(map(len, places)) / len(self.questions)
        return row

    def _check(self, texts: Mapping[str, str]) -> None:
        """Offsets of the data must be offsets of the parsed texts."""
        for question in self.questions:
            for span, content in zip(question.asked.references, question.contents, strict=True):
                if texts[span.document][span.start : span.end] != content:
                    raise SystemExit(f"{span} does not hold {content!r}: the data does not fit")


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


def default_embedder(cache: Path, precision: Precision) -> Embedder:
    """The default one, its vectors kept; in one precision, whatever the machine."""
    settings = load_settings()
    files = resolve_model("default", home=settings.home, kind="embedder")
    return open_embedder(files, device=settings.device, cache_path=cache, precision=precision)


if __name__ == "__main__":
    main(sys.argv[1:])
