"""What to choose now, even where nothing is decided: route, reason, expected regret.

It does not know how scores came about. A sentence about LoRA needs three training seeds; with
fewer it is about this adapter.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rag_adapt.bench.arms import ARMS
from rag_adapt.bench.figures import ArmReport, Basis, Choice, Pair, Recommendation
from rag_adapt.bench.tally import Tally
from rag_adapt.bench.verdict import contrast
from rag_adapt.stats.power import items_to_decide
from rag_adapt.stats.regret import Regret, regrets
from rag_adapt.stats.seeds import left_by_seeds

ENOUGH_SEEDS: Final = 3
ALIKE: Final = 0.001
"""Expected regrets nearer than this, in score, are one: a tenth of a point is within chance."""
MANY: Final = 20_000
"""Items above which it is no use to say how many would decide."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What one skill's recommendation rests on."""

    skill: str
    arms: Mapping[str, ArmReport]
    """Measured routes; no controls."""
    references: Sequence[ArmReport]
    """Measured scores that ask no model: what a route must beat."""
    tallies: Mapping[str, Tally]
    pairs: Sequence[Pair]
    margin: float
    valid_for: Mapping[str, str]

    def pair(self, a: str, b: str) -> Pair | None:
        """The contrast b - a, turned round where it was declared as a - b."""
        for one in self.pairs:
            if (one.a, one.b) == (a, b):
                return one
            if (one.a, one.b) == (b, a):
                turned = {"better": "worse", "worse": "better"}.get(one.verdict)
                low, high = -one.ci_high, -one.ci_low
                if turned is None:
                    turned = "non-inferior" if low > -self.margin else "undecided"
                fields = {"a": a, "b": b, "delta": -one.delta, "ci_low": low, "ci_high": high}
                return one.model_copy(update={**fields, "verdict": turned})
        return None


@dataclass(frozen=True, kw_only=True)
class _Pick:
    route: str
    basis: Basis
    why: str


@dataclass(frozen=True, kw_only=True)
class _Contest:
    """The chosen route and the one that it is hardest to tell from."""

    rival: str
    items: int | None
    """All told, that would decide between them; None where no number of items would."""


def recommend(found: Evidence) -> Recommendation:
    """The cheapest route that is not worse than the best; else the smallest expected regret."""
    if not found.arms:
        return Recommendation(
            skill=found.skill,
            route=None,
            basis="not measured",
            sentence=f"{found.skill}: no route was measured, so there is nothing to choose.",
            regret=None,
            n_to_decide=None,
        )
    risks = _risks(found)
    best = max(found.arms, key=lambda arm: (risks[arm].score, -list(found.arms).index(arm)))
    if risks[best].score == 0:
        picked = _Pick(route=_least_cost(found, list(found.arms)), basis="undecided", why="")
    else:
        picked = _decided(found, best) or _cheapest(found, best) or _undecided(found, risks)
    risk = risks[picked.route]
    needed = None if picked.basis != "undecided" else _needed(found, picked.route, risks)
    return Recommendation(
        skill=found.skill,
        route=picked.route,
        basis=picked.basis,
        sentence=_sentence(found, picked, risk, needed, risks),
        regret=risk.expected,
        regret_95=risk.at_most,
        n_to_decide=None if needed is None else needed.items,
        choices=tuple(
            Choice(
                route=arm,
                score=one.score,
                regret=one.expected,
                regret_95=one.at_most,
                cost=_cost(found.arms[arm]),
            )
            for arm, one in risks.items()
        ),
        valid_for=dict(found.valid_for),
    )


def _risks(found: Evidence) -> dict[str, Regret]:
    means = {arm: found.tallies[arm].means() for arm in found.arms}
    shared = set.intersection(*(set(scores) for scores in means.values()))
    first = next(iter(means))
    items = [item for item in means[first] if item in shared]
    if not items:
        only = {arm: tuple(scores.values()) for arm, scores in means.items()}
        return {
            arm: Regret(score=sum(s) / len(s), expected=1.0, at_most=1.0) for arm, s in only.items()
        }
    clusters = [found.tallies[first].clusters[item] for item in items]
    return regrets(
        {arm: [s[item] for item in items] for arm, s in means.items()},
        clusters,
        by_seed={arm: found.tallies[arm].by_seed(items) for arm in found.arms},
    )


def _decided(found: Evidence, best: str) -> _Pick | None:
    others = [arm for arm in found.arms if arm != best]
    beaten = [arm for arm in others if (p := found.pair(arm, best)) and p.verdict == "better"]
    if not others or len(beaten) < len(others):
        return None
    return _Pick(route=best, basis="decided", why=f"better than {_list(beaten)}")


def _cheapest(found: Evidence, best: str) -> _Pick | None:
    """The cheapest route not worse than the best; None where only the best itself is."""
    close = [
        arm
        for arm in found.arms
        if (p := found.pair(best, arm)) and p.verdict in ("better", "non-inferior")
    ]
    if not close:
        return None
    route = _least_cost(found, [best, *close])
    rest = [arm for arm in (best, *close) if arm != route]
    cost = _cost(found.arms[route])
    price = "" if cost is None else f" ({cost:.2g} compute-seconds an answer)"
    points = f"{100 * found.margin:g} points"
    why = f"the best, and the cheapest{price} of those at most {points} below it"
    if route != best:
        why = f"at most {points} below {best}, and the cheapest{price} of {_list([route, *rest])}"
    return _Pick(route=route, basis="non-inferior", why=why)


def _least_cost(found: Evidence, pool: Sequence[str]) -> str:
    """The cheapest route; the plainest where prices are not known for all."""
    order = list(ARMS)
    priced = all(_cost(found.arms[arm]) is not None for arm in pool)
    return min(pool, key=lambda a: (_cost(found.arms[a]) or 0.0 if priced else 0.0, order.index(a)))


def _undecided(found: Evidence, risks: Mapping[str, Regret]) -> _Pick:
    """The least expected regret; of routes that are alike in it, the cheapest."""
    least = min(risk.expected for risk in risks.values())
    alike = [arm for arm, risk in risks.items() if risk.expected - least < ALIKE]
    return _Pick(route=_least_cost(found, alike), basis="undecided", why="")


def _needed(found: Evidence, route: str, risks: Mapping[str, Regret]) -> _Contest | None:
    others = sorted((arm for arm in risks if arm != route), key=lambda arm: risks[arm].expected)
    if not others:
        return None
    made = contrast(others[0], route, found.tallies)
    if made is None:
        return None
    alpha = 0.05 / max(1, len(found.pairs))
    items = items_to_decide(made.scores_a, made.scores_b, made.clusters, alpha=alpha)
    if items is None:
        return None
    one, other = (found.tallies[arm].by_seed(made.items) for arm in (made.a, made.b))
    left = left_by_seeds(one, other, made.clusters)
    hidden = left >= abs(made.estimate.value)
    return _Contest(rival=others[0], items=None if hidden else items)


def _sentence(
    found: Evidence,
    picked: _Pick,
    risk: Regret,
    needed: _Contest | None,
    risks: Mapping[str, Regret],
) -> str:
    name, n = _spoken(found, picked.route), found.arms[picked.route].n
    score = f"{100 * risk.score:.1f} %"
    if max(one.score for one in risks.values()) == 0:
        text = (
            f"No route answered any of {n} items: none of them is of use yet. {name} costs least."
        )
    elif picked.basis == "undecided":
        text = (
            f"No route is shown to be the best at n={n}. To choose now, choose {name} ({score}): "
            f"expected regret {100 * risk.expected:.1f} points, "
            f"at most {100 * risk.at_most:.1f} with 95 %" + _decides(picked.route, needed)
        )
    else:
        text = f"Choose {name} ({score} of {n} items): {picked.why}."
    return text + _particular(found, picked.route) + _warning(found, risks)


def _decides(route: str, needed: _Contest | None) -> str:
    if needed is None:
        return "."
    if needed.items is None:
        return (
            f"; more items alone would not decide between {route} and {needed.rival}: training "
            "seeds lie too far apart."
        )
    if needed.items > MANY:
        return f"; {route} and {needed.rival} lie so close that {MANY:,} items would not decide."
    about = float(f"{needed.items:.2g}")
    return f"; about {about:,.0f} items in all would decide between {route} and {needed.rival}."


def _spoken(found: Evidence, route: str) -> str:
    """The route's name; with fewer than three training seeds, of this adapter alone."""
    return f"{route} with {_these(found, [route])}" if _few_seeds(found, route) else route


def _particular(found: Evidence, picked: str) -> str:
    """Names the other routes that were measured with too few adapters to stand for training."""
    others = [arm for arm in found.arms if arm != picked and _few_seeds(found, arm)]
    if not others:
        return ""
    verb = "stands" if len(others) == 1 else "stand"
    return f" Here {_list(others)} {verb} for {_these(found, others)}."


def _few_seeds(found: Evidence, route: str) -> bool:
    return ARMS[route].adapter is not None and len(found.tallies[route].seeds) < ENOUGH_SEEDS


def _these(found: Evidence, routes: Sequence[str]) -> str:
    seeds = max(1, *(len(found.tallies[route].seeds) for route in routes))
    adapters = "this adapter" if seeds * len(routes) == 1 else "these adapters"
    return f"{adapters} ({seeds} training seed{'s' * (seeds > 1)})"


def _warning(found: Evidence, risks: Mapping[str, Regret]) -> str:
    """A reference that asks no language model and still scores at least as well."""
    best = max(one.score for one in risks.values())
    above = [r for r in found.references if (r.score or 0.0) >= best and (r.score or 0.0) > 0]
    if not above:
        return ""
    top = max(above, key=lambda r: r.score or 0.0)
    return (
        f" But {top.arm}, which asks no language model, scores {100 * (top.score or 0):.1f} %: "
        "at least as much as every route."
    )


def _cost(arm: ArmReport) -> float | None:
    return None if arm.cost is None else arm.cost.value


def _list(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
