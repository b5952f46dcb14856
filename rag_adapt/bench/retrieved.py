"""What retrieval found, and what that did to the answers: hit against score, rescue and harm.

It does not know how passages are searched. A hit is a passage in the prompt that holds one of the
item's gold spans whole; items without gold spans are left out.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rag_adapt.bench.arms import ARMS
from rag_adapt.bench.figures import Pair, Retrieved, Subset, TagCount
from rag_adapt.bench.tally import Tally, mean
from rag_adapt.stats.intervals import mean_estimate

WITHOUT: Final[dict[str, tuple[str, ...]]] = {
    "rag": ("closed-book", "prompt"),
    "rag+lora": ("lora",),
    "rag+lora-blind": ("lora",),
    "oracle": ("closed-book", "prompt"),
    "placebo": ("closed-book", "prompt"),
}
"""What an arm that retrieves is compared with, the nearest to it but for its passages first."""
RIGHT: Final = 0.5
"""Mean score of an item from which it counts as right, for rescue and harm."""
FEWEST: Final = 5
"""Items that carry a tag, below which it is not listed."""


def retrieved(skill: str, tallies: Mapping[str, Tally]) -> tuple[Retrieved, ...]:
    """One line per arm that retrieves and whose items name gold spans.

    Args:
        skill: Its name.
        tallies: Of the arms that were measured.
    """
    return tuple(
        _figures(skill, arm, made, tallies)
        for arm, made in tallies.items()
        if ARMS[arm].corpus and made.gold_found.keys() & made.scores.keys()
    )


def _figures(skill: str, arm: str, made: Tally, tallies: Mapping[str, Tally]) -> Retrieved:
    scored = [item for item in made.gold_found if item in made.scores]
    hits = [item for item in scored if made.gold_found[item]]
    missed = [item for item in scored if not made.gold_found[item]]
    rate = mean_estimate(
        [float(made.gold_found[item]) for item in scored], [made.clusters[item] for item in scored]
    )
    against = next((name for name in WITHOUT.get(arm, ()) if name in tallies), None)
    return Retrieved(
        skill=skill,
        arm=arm,
        n=len(scored),
        hits=len(hits),
        hit_rate=rate.value,
        ci_low=rate.low,
        ci_high=rate.high,
        score_hit=_subset(made, hits),
        score_missed=_subset(made, missed),
        **({} if against is None else _turned(made, tallies[against], against)),
    )


def _subset(made: Tally, items: Sequence[str]) -> Subset | None:
    found = made.estimate(items) if items else None
    if found is None:
        return None
    return Subset(n=found.n, score=found.value, ci_low=found.low, ci_high=found.high)


def _turned(made: Tally, other: Tally, against: str) -> dict[str, Any]:
    """Rescued: wrong without passages and right with them; harmed: the opposite."""
    ours, theirs = made.means(), other.means()
    both = [item for item in ours if item in theirs]
    wrong = [item for item in both if theirs[item] < RIGHT]
    right = [item for item in both if theirs[item] >= RIGHT]
    return {
        "against": against,
        "wrong_without": len(wrong),
        "rescued": sum(ours[item] >= RIGHT for item in wrong),
        "right_without": len(right),
        "harmed": sum(ours[item] < RIGHT for item in right),
    }


def by_tag(pair: Pair, tallies: Mapping[str, Tally]) -> tuple[TagCount, ...]:
    """Where a contrast's items turned, by tag: those with the most turned items first.

    Tags that fewer than five items carry, and tags without a turned item, are left out.
    """
    one, other = tallies[pair.a].means(), tallies[pair.b].means()
    items: dict[str, list[str]] = {}
    for item in one:
        for tag in tallies[pair.a].tags.get(item, ()) if item in other else ():
            items.setdefault(tag, []).append(item)
    counts = [
        TagCount(
            tag=tag,
            n=len(tagged),
            delta=mean([other[item] - one[item] for item in tagged]),
            fixed=sum(other[item] > one[item] for item in tagged),
            broken=sum(other[item] < one[item] for item in tagged),
        )
        for tag, tagged in items.items()
        if len(tagged) >= FEWEST
    ]
    turned = [count for count in counts if count.fixed + count.broken]
    return tuple(sorted(turned, key=lambda c: (-(c.fixed + c.broken), c.tag)))
