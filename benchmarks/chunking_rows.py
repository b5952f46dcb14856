"""What was measured of one way of cutting and searching, and the best of several elsewhere.

It does not know how it was measured.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Numbers = list[float]


@dataclass(frozen=True, kw_only=True)
class Row:
    """Scores by budget of tokens, one per question."""

    name: str
    recall: dict[int, Numbers]
    iou: dict[int, Numbers]
    tokens: dict[int, float]
    """Mean retrieved ones."""

    @classmethod
    def empty(cls, name: str, budgets: Sequence[int]) -> "Row":
        """To be filled."""
        return cls(
            name=name,
            recall={budget: [] for budget in budgets},
            iou={budget: [] for budget in budgets},
            tokens=dict.fromkeys(budgets, 0.0),
        )

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "Row":
        """JSON knows no numbers as keys."""
        return cls(
            name=found["name"],
            recall={int(budget): scores for budget, scores in found["recall"].items()},
            iou={int(budget): scores for budget, scores in found["iou"].items()},
            tokens={int(budget): mean for budget, mean in found["tokens"].items()},
        )


def chosen_elsewhere(name: str, tried: Sequence[Row], corpora: Sequence[str]) -> Row:
    """Each corpus asked with the setting that was best on the mean of the others."""
    best = {corpus: _best(tried, corpora, without=corpus) for corpus in sorted(set(corpora))}
    row = Row.empty(name, list(tried[0].recall))
    for at, corpus in enumerate(corpora):
        for budget in row.recall:
            row.recall[budget].append(best[corpus].recall[budget][at])
            row.iou[budget].append(best[corpus].iou[budget][at])
            row.tokens[budget] += best[corpus].tokens[budget] / len(corpora)
    return row


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


def mean(values: Sequence[float]) -> float:
    """In percent."""
    return 100 * sum(values) / len(values)
