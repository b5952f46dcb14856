"""A recommendation even when nothing is decided, and never more than the evidence says."""

from rag_adapt.bench.figures import ArmReport, Cost, Recommendation
from rag_adapt.bench.recommend import Evidence, recommend
from rag_adapt.bench.store import AnswerRow
from rag_adapt.bench.tally import Tally, tally
from rag_adapt.bench.verdict import pairs
from tests.samples import row

COSTS = {"prompt": 1.0, "rag": 2.0, "lora": 1.5, "rag+lora": 3.0}


def evidence(
    rows: list[AnswerRow], references: dict[str, float] | None = None, *, priced: bool = True
) -> Evidence:
    made: dict[str, Tally] = {arm: t for (_, arm), t in tally(rows).items()}
    return Evidence(
        skill="colours",
        arms={
            arm: ArmReport(
                skill="colours",
                arm=arm,
                control=False,
                measured=True,
                n=len(t.scores),
                cost=Cost(value=COSTS[arm], unit="compute-seconds/answer") if priced else None,
            )
            for arm, t in made.items()
        },
        references=[
            ArmReport(skill="colours", arm=arm, control=True, measured=True, score=score)
            for arm, score in (references or {}).items()
        ],
        tallies=made,
        pairs=pairs("colours", made, declared=(), margin=0.05),
        margin=0.05,
        valid_for={"model": "m"},
    )


def scores(arm: str, right: int, of: int, *, seed: int | None = None) -> list[AnswerRow]:
    return [row(n, arm=arm, score=float(n < right), train_seed=seed) for n in range(of)]


def chosen(rows: list[AnswerRow], **references: float) -> Recommendation:
    return recommend(evidence(rows, {n.replace("_", "-"): s for n, s in references.items()}))


def test_a_route_that_beats_all_others_is_chosen_and_decided() -> None:
    found = chosen([*scores("prompt", 10, 80), *scores("rag", 70, 80)])
    assert (found.route, found.basis) == ("rag", "decided")
    assert "better than prompt" in found.sentence
    assert found.n_to_decide is None
    assert found.valid_for == {"model": "m"}
    assert found.regret is not None
    assert found.regret < 0.01


def test_the_cheapest_of_those_within_the_margin_is_chosen() -> None:
    found = chosen([*scores("prompt", 398, 400), *scores("rag", 400, 400)])
    assert (found.route, found.basis) == ("prompt", "non-inferior")
    assert "cheapest" in found.sentence
    assert [choice.route for choice in found.choices] == ["prompt", "rag"]


def test_where_nothing_is_decided_the_smallest_expected_regret_is_named_with_its_bound() -> None:
    others = [row(n, arm="rag", score=float(n >= 10)) for n in range(24)]
    found = chosen([*scores("prompt", 10, 24), *others])
    assert (found.route, found.basis) == ("rag", "undecided")
    assert found.regret is not None
    assert found.regret_95 is not None
    assert 0 < found.regret < found.regret_95
    assert found.n_to_decide is not None
    assert found.n_to_decide > 24
    for part in (
        "No route is shown to be the best at n=24",
        "expected regret",
        "with 95 %",
        "would decide",
    ):
        assert part in found.sentence


def test_of_routes_that_answered_alike_the_cheapest_is_chosen() -> None:
    rows = [*scores("rag", 20, 40), *scores("prompt", 20, 40)]
    assert chosen(rows).route == "prompt"
    assert recommend(evidence(rows, priced=False)).route == "prompt"


def test_a_sentence_about_lora_needs_three_training_seeds() -> None:
    one = chosen([*scores("prompt", 0, 60), *scores("lora", 55, 60, seed=0)])
    assert "this adapter (1 training seed)" in one.sentence
    rows = [r for seed in range(3) for r in scores("lora", 55, 60, seed=seed)]
    three = chosen([*scores("prompt", 0, 60), *rows])
    assert "this adapter" not in three.sentence
    assert three.sentence.startswith("Choose lora (")


def test_regret_knows_how_far_training_seeds_lie_apart() -> None:
    prompt = scores("prompt", 20, 60)
    alike = [r for seed in range(3) for r in scores("lora", 24, 60, seed=seed)]
    apart = [r for seed in range(3) for r in scores("lora", 6 + 18 * seed, 60, seed=seed)]
    one, other = chosen([*prompt, *alike]), chosen([*prompt, *apart])
    assert (one.route, other.route) == ("lora", "lora")
    assert one.regret is not None
    assert other.regret is not None
    assert other.regret > one.regret + 0.02


def test_the_items_that_would_decide_name_the_pair() -> None:
    others = [row(n, arm="rag", score=float(n >= 10)) for n in range(24)]
    found = chosen([*scores("prompt", 10, 24), *others, *scores("lora", 2, 24, seed=0)])
    assert found.n_to_decide is not None
    assert f"{found.n_to_decide:,}"[:1] == found.sentence.partition("about ")[2][:1]
    assert "items in all would decide between rag and prompt." in found.sentence


def test_routes_that_lie_very_close_are_said_to() -> None:
    others = [row(n, arm="rag", score=float(n >= 30)) for n in range(60)]
    found = chosen([*scores("prompt", 31, 60), *others])
    wanted = "; prompt and rag lie so close that 20,000 items would not decide."
    assert wanted in found.sentence
    assert found.n_to_decide is not None
    assert found.n_to_decide > 20_000


def test_items_are_not_said_to_decide_what_training_seeds_hide() -> None:
    prompt = scores("prompt", 20, 60)
    apart = [r for seed in range(3) for r in scores("lora", 6 + 18 * seed, 60, seed=seed)]
    found = chosen([*prompt, *apart])
    assert (found.basis, found.n_to_decide) == ("undecided", None)
    wanted = "more items alone would not decide between lora and prompt: training seeds lie too far"
    assert wanted in found.sentence
    alike = [r for seed in range(3) for r in scores("lora", 22, 60, seed=seed)]
    assert chosen([*prompt, *alike]).n_to_decide is not None


def test_a_sentence_about_another_route_says_that_its_adapters_are_particular() -> None:
    rag = [row(n, arm="rag", score=float(n >= 10)) for n in range(24)]
    one = scores("lora", 11, 24, seed=0)
    found = chosen([*scores("prompt", 10, 24), *rag, *one])
    assert found.route == "rag"
    assert "Here lora stands for this adapter (1 training seed)." in found.sentence
    both = [r for arm in ("lora", "rag+lora") for r in scores(arm, 5, 24, seed=0)]
    two = chosen([*scores("prompt", 22, 24), *both])
    assert "Here lora and rag+lora stand for these adapters (1 training seed)." in two.sentence
    three = [r for seed in range(3) for r in scores("lora", 11, 24, seed=seed)]
    assert "training seed" not in chosen([*scores("prompt", 10, 24), *rag, *three]).sentence


def test_a_reference_without_a_model_that_scores_as_much_is_told() -> None:
    found = chosen([*scores("prompt", 10, 40), *scores("lora", 20, 40)], nearest_label=0.86)
    assert "nearest-label, which asks no language model, scores 86.0 %" in found.sentence
    silent = chosen([*scores("prompt", 10, 40), *scores("lora", 20, 40)], nearest_label=0.1)
    assert "nearest-label" not in silent.sentence


def test_routes_that_answered_nothing_are_not_praised() -> None:
    found = chosen([*scores("rag", 0, 24), *scores("prompt", 0, 24), *scores("lora", 0, 24)])
    assert found.sentence.startswith("No route answered any of 24 items: none of them is of use")
    assert found.route == "prompt"
    assert "prompt costs least" in found.sentence


def test_nothing_measured_recommends_nothing() -> None:
    found = recommend(evidence([]))
    assert (found.route, found.regret, found.n_to_decide) == (None, None, None)
    assert found.basis == "not measured"


def test_one_route_alone_is_recommended_without_a_contest() -> None:
    found = chosen(scores("prompt", 5, 20))
    assert (found.route, found.n_to_decide) == ("prompt", None)


def test_routes_that_share_no_item_have_unbounded_regret() -> None:
    rows = [row(1), row(2, arm="rag", score=0.0)]
    found = recommend(evidence(rows))
    assert found.route == "prompt"
    assert found.regret_95 == 1.0


def test_without_prices_the_plainer_route_counts_as_cheaper() -> None:
    rows = [*scores("prompt", 398, 400), *scores("rag", 400, 400)]
    found = recommend(evidence(rows, priced=False))
    assert found.route == "prompt"
    assert "compute-seconds" not in found.sentence
