"""The passages of training rows, for an adapter that will be served with retrieval.

It does not know collections or tokens. After RAFT (Zhang et al., "RAFT: Adapting language model to
domain specific RAG", 2024): the model learns to use gold evidence among distractors, and to answer
when retrieval has missed. No test item passes.
"""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Final

from rag_adapt.adapters.examples import refuse_test
from rag_adapt.core.errors import AdapterError
from rag_adapt.core.protocols import Progress, Retriever, Silent
from rag_adapt.core.types import Item, Passage

KEEP_GOLD: Final = 0.8
"""Share of retrieval's misses in which gold is shown all the same (RAFT: 0.6 to 1 do well)."""


async def context_for(
    items: Sequence[Item],
    retriever: Retriever,
    *,
    k: int,
    gold: Mapping[str, tuple[Passage, ...]],
    keep_gold: float = KEEP_GOLD,
    seed: int,
    progress: Progress | None = None,
) -> dict[str, tuple[Passage, ...]]:
    """What each item is shown in training: what retrieval finds, now and then mended.

    Where none of an item's gold passages was found, one of them takes the place of the worst
    distractor with probability `keep_gold`, at any rank. All chances hang on seed and item id
    alone, so that nested subsets of items agree.

    Args:
        items: Train and dev items; see `plan.plan_for`, which needs the passages of both.
        retriever: The one that serves.
        k: Passages per item, as in serving.
        gold: Gold passages by item id; items without any keep what was found.
        keep_gold: In [0, 1].
        seed: Of the chances.
        progress: Told after each item, as stage `context`.

    Returns:
        Passages by item id, in the order in which retrieval would present them.

    Raises:
        AdapterError: a test item was handed in, or `k` or `keep_gold` is out of range.
    """
    refuse_test([(item.id, item.split) for item in items])
    if k < 1:
        raise AdapterError(
            f"{k} passages per training row are no context", hint="Set `top_k` to 1 or more."
        )
    if not 0 <= keep_gold <= 1:
        raise AdapterError(f"keep_gold {keep_gold!r} is outside [0, 1]", hint="Use a share: 0.8.")
    shown = progress or Silent()
    rows = {}
    for done, item in enumerate(items, start=1):
        found = await retriever.search(item.input, k)
        rows[item.id] = _mended(
            found[:k],
            gold.get(item.id, ()),
            k=k,
            keep_gold=keep_gold,
            chance=Random(f"{seed}:{item.id}"),
        )
        shown.update("context", done, len(items))
    return rows


def _mended(
    found: tuple[Passage, ...],
    gold: Sequence[Passage],
    *,
    k: int,
    keep_gold: float,
    chance: Random,
) -> tuple[Passage, ...]:
    """The passages found, with one gold passage among them if chance will and none was found."""
    if not gold or any(_overlap(one, other) for one in found for other in gold):
        return found
    if chance.random() >= keep_gold:
        return found
    kept = list(found[: k - 1])
    kept.insert(chance.randint(0, len(kept)), chance.choice(gold))
    return tuple(kept)


def _overlap(one: Passage, other: Passage) -> bool:
    return one.document == other.document and one.start < other.end and other.start < one.end
