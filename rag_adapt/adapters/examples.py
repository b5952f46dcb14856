"""Turns items into training rows: the messages a model is sent and the answer it should give.

It does not know tokens or models. It is the door that no test item passes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from rag_adapt.core.errors import AdapterError
from rag_adapt.core.template import Template
from rag_adapt.core.types import Draft, Item, Message, Passage, Split


@dataclass(frozen=True, kw_only=True)
class TrainingRow:
    """One example, rendered."""

    item_id: str
    split: Split
    messages: tuple[Message, ...]
    """Exactly what the model is sent when it is served."""
    target: str
    """The answer to learn: the item's first target."""


def training_rows(
    items: Sequence[Item],
    template: Template,
    *,
    labels: Sequence[str] = (),
    passages: Mapping[str, tuple[Passage, ...]] | None = None,
) -> tuple[TrainingRow, ...]:
    """Render items the way the routes render them, each with its first target.

    Args:
        items: From the train or dev split, in the order of training.
        template: The same template as in serving.
        labels: The skill's labels, for `{labels}`.
        passages: What retrieval found for each item id, for an adapter trained with context.

    Raises:
        AdapterError: an item is a test item.
    """
    refuse_test([(item.id, item.split) for item in items])
    found = passages or {}
    return tuple(
        TrainingRow(
            item_id=item.id,
            split=item.split,
            messages=template.render(
                Draft(
                    item_id=item.id,
                    input=item.input,
                    labels=tuple(labels),
                    passages=found.get(item.id, ()),
                )
            ),
            target=item.targets[0],
        )
        for item in items
    )


def pick(items: Sequence[Item], count: int | None, *, seed: int) -> tuple[Item, ...]:
    """The first `count` of a seeded shuffle: nested subsets for growing counts; None takes all."""
    shuffled = list(items)
    Random(seed).shuffle(shuffled)
    return tuple(shuffled if count is None else shuffled[:count])


def refuse_test(seen: Sequence[tuple[str, Split]]) -> None:
    """Stop if any of these (item id, split) pairs belongs to the test split.

    Raises:
        AdapterError: naming the first test item and how many there are.
    """
    test = [item_id for item_id, split in seen if split == "test"]
    if test:
        raise AdapterError(
            f"{len(test)} test items were handed to training, the first is {test[0]!r}",
            hint="Train on items of the train or dev split; test items are for scoring alone.",
        )
