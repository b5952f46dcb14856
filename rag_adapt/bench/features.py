"""What cheap probes found about one skill on one model: a row of evidence, as plain figures.

It does not know how they are obtained or what they mean; a figure that could not be had is null.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Features:
    """All code lengths are bits per answer token, all scores the skill's primary one in [0, 1].

    Both are taken on the same dev items; examples are never among them.
    """

    skill: str
    dev_items: int
    """Items that everything here was measured on."""
    dev_clusters: int
    train_items: int
    """Training items that there are."""
    labels: int
    """Declared answers; 0 where there are none."""
    documents: int | None
    """Of the corpus; null without one."""
    input_tokens: float
    """Mean tokens of an input."""
    target_tokens: float
    """Mean tokens of a first target."""
    best_template: str
    """Of the templates without passages, the one under which targets are shortest."""
    bits_bare: float
    """The input alone."""
    bits_prompt: float
    """The best template."""
    bits_shots_1: float | None = None
    """One fixed example as a chat turn; null where it does not fit, or there are too few."""
    bits_shots_4: float | None = None
    bits_shots_16: float | None = None
    bits_lora_1: float | None = None
    """An adapter trained on one example, three times; read under the skill's own template."""
    bits_lora_10: float | None = None
    """On ten examples, three times each."""
    bits_lora_50: float | None = None
    """On fifty examples, once each."""
    score_majority: float | None = None
    """The commonest training answer: what asks no model and sees no input."""
    score_nearest: float | None = None
    """The answer of the nearest training item by embedding."""
    score_bare: float | None = None
    score_prompt: float | None = None
    score_shots_16: float | None = None
    score_lora_10: float | None = None
    score_lora_50: float | None = None
    retrieval_hit: float | None = None
    """Share of items with gold for which a retrieved passage overlaps any gold span."""
    retrieval_recall: float | None = None
    """Mean share of an item's gold spans that a retrieved passage overlaps."""
    seconds: float | None = None
    """What measuring all this took."""

    def as_json(self) -> dict[str, Any]:
        """Plain JSON; the inverse is `features_from_json`."""
        return asdict(self)


def features_from_json(data: Mapping[str, Any]) -> Features:
    """The inverse of `Features.as_json`; fields that are not known any more are left out.

    Raises:
        TypeError: a field without default is missing.
    """
    known = {field.name for field in fields(Features)}
    return Features(**{name: value for name, value in data.items() if name in known})
