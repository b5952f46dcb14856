"""Declared contrasts: tested, adjusted, and never more than the rows allow."""

import pytest
from scipy.stats import binomtest

from rag_adapt.bench.store import AnswerRow
from rag_adapt.bench.tally import Tally, tally
from rag_adapt.bench.verdict import contrast, interactions, pairs
from tests.samples import row


def tallies(**arms: list[float]) -> dict[str, Tally]:
    rows = [
        row(n, arm=arm.replace("__", "+"), score=score)
        for arm, scores in arms.items()
        for n, score in enumerate(scores)
    ]
    return {arm: made for (_, arm), made in tally(rows).items()}


def of(rows: list[AnswerRow]) -> dict[str, Tally]:
    return {arm: made for (_, arm), made in tally(rows).items()}


def test_without_clusters_the_test_is_the_exact_mcnemar() -> None:
    a = [1.0] * 10 + [0.0] * 20
    b = [1.0] * 8 + [0.0] * 2 + [1.0] * 12 + [0.0] * 8
    (pair,) = pairs("colours", tallies(prompt=a, lora=b), declared=(), margin=0.05)
    assert (pair.a, pair.b, pair.primary) == ("prompt", "lora", True)
    assert (pair.fixed, pair.broken, pair.test) == (12, 2, "mcnemar-exact")
    assert pair.p == pytest.approx(binomtest(2, 14).pvalue)
    assert pair.p_holm == pair.p
    assert pair.delta == pytest.approx(10 / 30)
    assert pair.ci_low < pair.delta < pair.ci_high
    assert pair.verdict == "better"


def test_with_clusters_the_test_flips_whole_clusters() -> None:
    rows = [
        row(n, arm=arm, score=float(arm == "lora" and n < 12), cluster=f"c{n // 4}")
        for arm in ("prompt", "lora")
        for n in range(16)
    ]
    (pair,) = pairs("colours", of(rows), declared=(), margin=0.05)
    assert (pair.test, pair.clusters) == ("cluster-sign-flip", 4)
    assert pair.p == pytest.approx(0.25)
    assert pair.verdict == "undecided"


def test_the_family_is_six_pairs_adjusted_together_with_what_was_declared() -> None:
    scores = [float(n % 3 == 0) for n in range(30)]
    others = [float(n % 2 == 0) for n in range(30)]
    made = tallies(prompt=scores, rag=others, lora=[1.0] * 30, rag__lora=scores, bare=others)
    found = pairs("colours", made, declared=[("bare", "lora")], margin=0.05)
    assert [(p.a, p.b) for p in found if p.primary] == [
        ("prompt", "rag"),
        ("prompt", "lora"),
        ("prompt", "rag+lora"),
        ("rag", "lora"),
        ("rag", "rag+lora"),
        ("lora", "rag+lora"),
    ]
    assert [(p.a, p.b) for p in found if not p.primary] == [("bare", "lora")]
    assert all(p.p_holm >= p.p for p in found)
    smallest = min(found, key=lambda p: p.p)
    assert smallest.p_holm == pytest.approx(min(1.0, 7 * smallest.p))


def test_an_arm_against_itself_is_never_better_or_worse() -> None:
    scores = [float(n % 2) for n in range(40)]
    made = tallies(prompt=scores, twin=scores)
    (pair,) = pairs("colours", made, declared=[("prompt", "twin")], margin=0.05)
    assert (pair.delta, pair.fixed, pair.broken, pair.p) == (0.0, 0, 0, 1.0)
    assert pair.verdict in ("non-inferior", "undecided")


def test_seeds_that_disagree_widen_the_interval_and_hold_the_verdict_back() -> None:
    def answers(good: tuple[int, ...]) -> list[AnswerRow]:
        plain = [row(n, score=0.0) for n in range(40)]
        taught = [
            row(n, arm="lora", train_seed=seed, score=float(seed in good and n < 30))
            for seed in range(3)
            for n in range(40)
        ]
        return [*plain, *taught]

    (steady,) = pairs("colours", of(answers((0, 1, 2))), declared=(), margin=0.05)
    (shaky,) = pairs("colours", of(answers((0,))), declared=(), margin=0.05)
    assert steady.verdict == "better"
    assert shaky.verdict == "undecided"
    assert shaky.p < 0.05


def test_failures_that_differ_get_a_worst_case() -> None:
    rows = [row(n, score=1.0) for n in range(20)]
    rows += [row(n, arm="lora", score=1.0) for n in range(15)]
    rows += [row(n, arm="lora", score=None, output=None, failure="engine") for n in range(15, 20)]
    (pair,) = pairs("colours", of(rows), declared=(), margin=0.05)
    assert (pair.n, pair.delta) == (15, 0.0)
    assert pair.worst_low is not None
    assert pair.worst_high is not None
    assert pair.worst_low < -0.25 < 0.0 <= pair.worst_high


def test_arms_without_common_items_are_not_compared() -> None:
    made = of([row(1), row(2, arm="lora")])
    assert contrast("prompt", "lora", made) is None
    assert pairs("colours", made, declared=(), margin=0.05) == ()


def test_the_interaction_names_what_its_adapter_was_trained_on() -> None:
    n = 40
    made = tallies(
        prompt=[0.0] * n,
        rag=[float(i % 2) for i in range(n)],
        lora=[float(i % 2) for i in range(n)],
        rag__lora=[float(i % 2) for i in range(n)],
    )
    made["rag+lora-blind"] = made["prompt"]
    taught, blind = interactions("colours", made)
    assert (taught.arm, taught.trained_with_context) == ("rag+lora", True)
    assert taught.interaction.value == pytest.approx(-0.5)
    assert taught.retrieval.value == pytest.approx(0.25)
    assert "in each other's way" in taught.sentence
    assert (blind.trained_with_context, blind.n) == (False, n)
    assert "never saw context" in blind.sentence
    assert blind.interaction.value == pytest.approx(-1.0)


def test_without_all_four_cells_there_is_no_interaction() -> None:
    assert interactions("colours", tallies(prompt=[1.0], rag=[1.0])) == ()
