"""What a run allows one to say about two arms: the declared contrasts, tested and adjusted.

It does not know how answers were obtained; it reads tallies, and every figure is recomputable
from `answers.jsonl`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from rag_adapt.bench.arms import ARMS
from rag_adapt.bench.figures import Effect, Interaction, Pair
from rag_adapt.bench.tally import Tally
from rag_adapt.core.types import Estimate
from rag_adapt.stats.decision import verdict
from rag_adapt.stats.interaction import SeedMeans, interaction
from rag_adapt.stats.intervals import paired_difference
from rag_adapt.stats.multiplicity import holm
from rag_adapt.stats.paired import PairedTest, paired_test
from rag_adapt.stats.power import detectable

ROUTES: Final = ("prompt", "rag", "lora", "rag+lora")
"""Their six pairs are the family of every run."""


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """Two arms on the items that both answered."""

    a: str
    b: str
    items: tuple[str, ...]
    scores_a: tuple[float, ...]
    scores_b: tuple[float, ...]
    clusters: tuple[str, ...]
    estimate: Estimate
    """b - a."""
    test: PairedTest


def contrast(a: str, b: str, tallies: Mapping[str, Tally]) -> Contrast | None:
    """Compare two arms; None where they share no answered item."""
    one, other = tallies[a], tallies[b]
    means_a, means_b = one.means(), other.means()
    items = [item for item in means_a if item in means_b]
    if not items:
        return None
    scores_a = tuple(means_a[item] for item in items)
    scores_b = tuple(means_b[item] for item in items)
    clusters = tuple(one.clusters[item] for item in items)
    estimate = paired_difference(
        scores_a,
        scores_b,
        clusters,
        folds=one.folds_of(items),
        seed_means=_seed_differences(one, other, items),
        rare=True,
    )
    return Contrast(
        a=a,
        b=b,
        items=tuple(items),
        scores_a=scores_a,
        scores_b=scores_b,
        clusters=clusters,
        estimate=estimate,
        test=paired_test(scores_a, scores_b, clusters),
    )


def _seed_differences(a: Tally, b: Tally, items: Sequence[str]) -> list[float] | None:
    """The mean of b - a for each training seed; the arm without seeds is the same for all."""
    kept = set(items)
    of_a, of_b = a.seed_means(kept), b.seed_means(kept)
    if of_a is None and of_b is None:
        return None
    count = len(of_a or of_b or ())
    plain_a = a.estimate(kept)
    plain_b = b.estimate(kept)
    assert plain_a is not None
    assert plain_b is not None
    left = of_a or [plain_a.value] * count
    right = of_b or [plain_b.value] * count
    return [y - x for x, y in zip(left, right, strict=False)]


def pairs(
    skill: str,
    tallies: Mapping[str, Tally],
    *,
    declared: Sequence[tuple[str, str]],
    margin: float,
) -> tuple[Pair, ...]:
    """Test the family and the further declared contrasts, Holm-adjusted together."""
    family = [pair for pair in combinations(ROUTES, 2) if set(pair) <= set(tallies)]
    further = [p for p in declared if set(p) <= set(tallies) and p not in family]
    found = [c for a, b in (*family, *further) if (c := contrast(a, b, tallies)) is not None]
    adjusted = holm([one.test.p for one in found])
    return tuple(
        _pair(skill, one, p_holm, (one.a, one.b) in family, tallies, margin)
        for one, p_holm in zip(found, adjusted, strict=True)
    )


def _pair(
    skill: str,
    found: Contrast,
    p_holm: float,
    primary: bool,
    tallies: Mapping[str, Tally],
    margin: float,
) -> Pair:
    estimate, test = found.estimate, found.test
    worst = _worst_case(tallies[found.a], tallies[found.b])
    return Pair(
        skill=skill,
        a=found.a,
        b=found.b,
        primary=primary,
        n=estimate.n,
        clusters=estimate.clusters,
        delta=estimate.value,
        ci_low=estimate.low,
        ci_high=estimate.high,
        fixed=test.fixed,
        broken=test.broken,
        test=test.name,
        p=test.p,
        p_holm=p_holm,
        mde=detectable(found.scores_a, found.scores_b, found.clusters),
        verdict=verdict(estimate, p_holm, margin),
        worst_low=None if worst is None else worst.low,
        worst_high=None if worst is None else worst.high,
    )


def _worst_case(a: Tally, b: Tally) -> Estimate | None:
    """The bounds that hold whatever the failed answers would have scored."""
    failed = {**a.failed, **b.failed}
    means_a, means_b = a.means(), b.means()
    failed = {i: c for i, c in failed.items() if i not in means_a or i not in means_b}
    if not failed:
        return None
    shared = [item for item in means_a if item in means_b]
    clusters = [a.clusters[item] for item in shared] + list(failed.values())

    def bound(missing_a: float, missing_b: float) -> Estimate:
        left = [means_a[i] for i in shared] + [means_a.get(i, missing_a) for i in failed]
        right = [means_b[i] for i in shared] + [means_b.get(i, missing_b) for i in failed]
        return paired_difference(left, right, clusters, rare=True)

    low, high = bound(1.0, 0.0), bound(0.0, 1.0)
    return Estimate(
        value=(low.value + high.value) / 2,
        low=low.low,
        high=high.high,
        n=low.n,
        clusters=low.clusters,
        method="worst-case",
    )


def interactions(skill: str, tallies: Mapping[str, Tally]) -> tuple[Interaction, ...]:
    """Retrieval and adapter together, for every fourth cell that was measured."""
    if not {"prompt", "rag", "lora"} <= set(tallies):
        return ()
    cells = [arm for arm in ("rag+lora", "rag+lora-blind") if arm in tallies]
    return tuple(one for arm in cells if (one := _interaction(skill, arm, tallies)) is not None)


def _interaction(skill: str, arm: str, tallies: Mapping[str, Tally]) -> Interaction | None:
    cells = [tallies[name] for name in ("prompt", "rag", "lora", arm)]
    means = [cell.means() for cell in cells]
    items = [item for item in means[0] if all(item in found for found in means[1:])]
    if not items:
        return None
    adapter, both = cells[2].seed_means(set(items)), cells[3].seed_means(set(items))
    seeds = None if not adapter or not both else SeedMeans(adapter=adapter, both=both)
    base, retrieval, lora, fourth = ([scores[item] for item in items] for scores in means)
    found = interaction(
        base,
        retrieval,
        lora,
        fourth,
        [cells[0].clusters[item] for item in items],
        folds=cells[0].folds_of(items),
        seed_means=seeds,
    )
    taught = ARMS[arm].adapter == "context"
    return Interaction(
        skill=skill,
        arm=arm,
        trained_with_context=taught,
        n=len(items),
        retrieval=_effect(found.retrieval),
        adapter=_effect(found.adapter),
        interaction=_effect(found.interaction),
        sentence=_sentence(found.interaction, arm, taught=taught),
    )


def _effect(estimate: Estimate) -> Effect:
    return Effect(value=estimate.value, ci_low=estimate.low, ci_high=estimate.high)


def _sentence(found: Estimate, arm: str, *, taught: bool) -> str:
    trained = "trained with retrieved context" if taught else "that never saw context in training"
    if found.low > 0:
        says = "help each other"
    elif found.high < 0:
        says = "stand in each other's way"
    else:
        says = "are not shown to interact"
    return (
        f"Retrieval and an adapter {trained} ({arm}) {says}: {100 * found.value:+.1f} points "
        f"[{100 * found.low:+.1f}, {100 * found.high:+.1f}] beyond the sum of both."
    )
