"""What one arm's rows add up to."""

import pytest

from rag_adapt.bench.tally import Tally, chose_target, tally
from tests.samples import row


def of(*rows: object) -> Tally:
    found = Tally()
    for one in rows:
        found.add(one)  # type: ignore[arg-type]
    return found


def test_seeds_are_a_level_of_their_own_above_repeats() -> None:
    made = of(
        row(1, score=1.0, train_seed=0),
        row(1, score=0.0, train_seed=0, repeat=1),
        row(1, score=1.0, train_seed=1),
        row(2, score=0.0, train_seed=0),
        row(2, score=1.0, train_seed=1),
    )
    assert made.seeds == (0, 1)
    assert made.means() == {"i1": 0.75, "i2": 0.5}
    assert made.means(0) == {"i1": 0.5, "i2": 0.0}
    assert made.seed_means({"i1", "i2"}) == [0.25, 1.0]
    assert made.seed_means({"i2"}) == [0.0, 1.0]


def test_one_seed_is_no_level() -> None:
    assert of(row(1, train_seed=3)).seed_means({"i1"}) is None
    assert of(row(1)).seeds == ()


def test_scores_by_seed_stand_in_the_order_asked_for_with_means_where_a_seed_failed() -> None:
    made = of(
        row(1, score=1.0, train_seed=0),
        row(1, score=0.0, train_seed=1),
        row(2, score=0.0, train_seed=1),
    )
    assert made.by_seed(["i2", "i1"]) == {0: [0.0, 1.0], 1: [0.0, 0.0]}
    assert of(row(1, train_seed=3)).by_seed(["i1"]) == {}


def test_folds_widen_the_interval() -> None:
    scores = [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]
    folded = of(*(row(n, score=s, fold=n // 4) for n, s in enumerate(scores)))
    whole = of(*(row(n, score=s) for n, s in enumerate(scores)))
    one, other = folded.estimate(), whole.estimate()
    assert one is not None
    assert other is not None
    assert one.value == other.value == 0.5
    assert one.high - one.low > other.high - other.low
    assert "folds" in one.method


def test_a_failure_is_counted_apart_and_remembered() -> None:
    made = of(row(1, score=None, output=None, failure="engine"), row(2, score=None))
    assert (made.failures, made.failed) == ({"engine": 1}, {"i1": "c1"})
    assert made.unscored == 1
    assert made.estimate() is None


def test_an_estimate_can_leave_items_out() -> None:
    made = of(row(1), row(2, score=0.0, leaked=True), row(3))
    assert made.leaked == {"i2"}
    kept = made.estimate({"i1", "i3"})
    assert kept is not None
    assert (kept.value, kept.n) == (1.0, 2)


@pytest.mark.parametrize(
    ("choice", "right"),
    [
        ({"red": 1.0, "blue": 2.0}, True),
        ({"red": 2.0, "blue": 1.0}, False),
        ({"Red": 1.0, "blue": 1.0}, True),
    ],
    ids=["likelier", "less likely", "first on ties, case apart"],
)
def test_the_choice_is_the_label_with_the_fewest_bits(
    choice: dict[str, float], right: bool
) -> None:
    assert chose_target(row(1, target="red", targets=("red",), choice=choice)) is right


def test_rows_are_kept_apart_by_skill_and_arm() -> None:
    found = tally([row(1), row(1, arm="lora"), row(2, arm="lora")])
    assert {key: len(made.scores) for key, made in found.items()} == {
        ("colours", "prompt"): 1,
        ("colours", "lora"): 2,
    }
