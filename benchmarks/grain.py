"""Small chunks that are read with those beside them, at equal retrieved tokens.

It does not know how questions are read or rows kept: see `benchmarks.chunking`, whose DATA and
`--work` it shares. Every corpus is given what was best on the other four: of the settings of one
way of cutting, and (`any`) of all of them, the ways of cutting included.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, get_args

from benchmarks.chunking import BASELINES, Bench
from benchmarks.chunking_rows import Row, chosen_elsewhere
from benchmarks.chunking_tables import print_gains, print_rows
from rag_adapt.retrieval.embed import Precision

FIRST: Final = "recursive:120"
"""The default."""
CUTS: Final = (FIRST, "recursive:60", "recursive:180", "windows:60")
"""Beside it: small chunks alone, ones as long as what a window reads, and windows."""
SETTINGS: Final = tuple((constant, share) for constant in (5, 10) for share in (0.3, 0.6, 1.0))
BUDGETS: Final = (300, 500, 550, 600, 700, 1000, 1500)


def main(arguments: Sequence[str]) -> None:
    """Measure what is not kept yet, then print all of it and compare it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, default=Path(".rag-adapt/chunking"))
    parser.add_argument(
        "--precision",
        choices=get_args(Precision),
        default="float32",
        help="That vectors are computed in; bfloat16 is quicker where the processor has it.",
    )
    options = parser.parse_args(arguments)
    bench = Bench(options.data, options.work, BUDGETS, links=(), precision=options.precision)
    corpora = [question.corpus for question in bench.questions]
    grids = {cut: _grid(bench, cut) for cut in CUTS}
    rows = {name: bench.row(name) for name in BASELINES}
    rows[f"{FIRST}:fused"] = bench.row(f"{FIRST}:fused")
    for cut, grid in grids.items():
        rows[f"{cut}:chosen"] = chosen_elsewhere(f"{cut}:chosen", grid, corpora)
    every = [row for grid in grids.values() for row in grid]
    rows["any:chosen"] = chosen_elsewhere("any:chosen", every, corpora)
    print_rows(rows)
    others = [name for name in rows if name != "any:chosen"]
    print_gains(rows, corpora, [(other, "any:chosen") for other in others])


def _grid(bench: Bench, cut: str) -> list[Row]:
    return [bench.row(f"{cut}:fused({constant},{share})") for constant, share in SETTINGS]


if __name__ == "__main__":
    main(sys.argv[1:])
