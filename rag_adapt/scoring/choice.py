"""Scorer of classification: the answer must be exactly one of the declared labels.

It does not know likelihoods, and it gives no credit for what merely resembles a label.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rag_adapt.core.types import Item, Score

_EDGES: Final = " \t\n\r\"'`*.,;:!?()[]{}<>\u2018\u2019\u201c\u201d\u00ab\u00bb"


def plain(text: str) -> str:
    """A label as it is compared: case, outer quotes and punctuation, runs of spaces apart."""
    folded = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return folded.strip(_EDGES) or folded


@dataclass(frozen=True, kw_only=True)
class Label:
    """1 where the output is a target label, 0 where it is another label or none at all."""

    labels: tuple[str, ...]

    def extract(self, output: str) -> str | None:
        """The declared label that the output is; None where it is none or more than one.

        Labels that differ in case or punctuation alone must be given to the letter.
        """
        said = output.strip()
        if said in self.labels:
            return said
        alike = [label for label in self.labels if plain(label) == plain(said)]
        return alike[0] if len(alike) == 1 else None

    def score(self, output: str, item: Item) -> Score:
        label = self.extract(output)
        if label is None:
            why = f"the output is not exactly one of the {len(self.labels)} labels"
            return Score(value=0.0, extracted=None, explanation=why)
        hit = label in item.targets
        verb = "is" if hit else "is not"
        why = f"{label!r} {verb} the target {' or '.join(map(repr, item.targets))}"
        return Score(value=float(hit), extracted=label, explanation=why)


def label_scorer(labels: Sequence[str]) -> Label:
    """A scorer for these labels.

    Raises:
        ValueError: fewer than two labels.
    """
    if len(labels) < 2:
        raise ValueError(f"a label scorer needs at least two labels, not {list(labels)}")
    return Label(labels=tuple(labels))
