"""Prints what `benchmarks.chunking` measured, as tables in Markdown.

It does not measure.
"""

from collections.abc import Iterator, Mapping, Sequence

from benchmarks.chunking_rows import Row, mean
from rag_adapt.stats.bootstrap import bootstrap_mean
from rag_adapt.stats.intervals import paired_difference

CONTROLS = {"tension": "random", "tension-embedded": "random-embedded"}


def print_rows(rows: Mapping[str, Row]) -> None:
    """Token recall and IoU at every budget."""
    budgets = list(next(iter(rows.values())).recall)
    print("\nToken recall / IoU in %:\n")
    print(_line("cut, tokens, search", *(f"{budget} tokens" for budget in budgets)))
    print(_line(*["---"] * (1 + len(budgets))))
    for name, row in rows.items():
        cells = (f"{mean(row.recall[b]):.1f} / {mean(row.iou[b]):.1f}" for b in budgets)
        print(_line(f"`{name}`", *cells))


def print_differences(
    rows: Mapping[str, Row], corpora: Sequence[str], *, first: str, baselines: Sequence[str]
) -> None:
    """Every claim against its control: see `print_gains`."""
    print_gains(rows, corpora, tuple(_pairs(rows, first, baselines)))


def print_gains(
    rows: Mapping[str, Row], corpora: Sequence[str], pairs: Sequence[tuple[str, str]]
) -> None:
    """What the second of each pair of rows finds beyond the first, in points of token recall.

    Intervals by bootstrap over corpora and their questions; bold where Student's t over the
    corpora excludes 0, too.
    """
    budgets = list(next(iter(rows.values())).recall)
    print("\nGain in points of token recall:\n")
    print(_line("", *(f"{budget} tokens" for budget in budgets)))
    print(_line(*["---"] * (1 + len(budgets))))
    for a, b in pairs:
        cells = (_cell(rows[a].recall[n], rows[b].recall[n], corpora) for n in budgets)
        print(_line(f"`{b}` - `{a}`", *cells), flush=True)


def _pairs(
    rows: Mapping[str, Row], first: str, baselines: Sequence[str]
) -> Iterator[tuple[str, str]]:
    mine = (f"{first}:fused(60,0)", f"{first}:fused", f"{first}:chosen")
    wanted = [(a, b) for a in baselines for b in mine]
    wanted += [
        (mine[0], mine[2]),
        (f"{first}:fused(10,0)", mine[1]),
        (f"{first}:fused(10,~0.3)", mine[1]),
        (f"{first}:fused", f"{first}:chosen+links"),
        (f"{first}:chosen+shuffled", f"{first}:chosen+links"),
    ]
    for name in rows:
        cut, rest = name.split(":", 1)
        if cut in CONTROLS and "+" not in rest:
            wanted.append((f"{CONTROLS[cut]}:{rest}", name))
        if name.endswith("+links") and "chosen" not in name:
            wanted += [(name.removesuffix("+links"), name)]
            wanted += [(name.replace("+links", "+shuffled"), name)]
    yield from ((a, b) for a, b in wanted if a in rows and b in rows)


def _cell(one: Sequence[float], other: Sequence[float], corpora: Sequence[str]) -> str:
    gain = bootstrap_mean([y - x for x, y in zip(one, other, strict=True)], corpora)
    exact = paired_difference(one, other, corpora)
    value, low, high = (100 * each for each in (gain.value, gain.low, gain.high))
    text = f"{value:+.1f} [{low:+.1f}, {high:+.1f}]"
    return f"**{text}**" if exact.low > 0.0 or exact.high < 0.0 else text


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
