"""The dose curve read off answers: scores by size, and a crossover only where it was shown."""

from itertools import product

import jsonschema
import pytest

from rag_adapt.bench.curve import EXPLORATORY, crossovers
from rag_adapt.bench.dose_figures import Crossover, DoseDifference
from rag_adapt.bench.doses import CHANNELS
from rag_adapt.bench.figures import AdapterFigures, Report, schema
from rag_adapt.bench.report import Extras, build_report
from rag_adapt.bench.store import AnswerRow
from rag_adapt.bench.table import markdown, tables
from rag_adapt.stats.intervals import mean_estimate, paired_difference
from tests.samples import row

ITEMS = 30
SIZES = (1, 10, 50)
RIGHT = {
    ("few-shot", 1): 24,
    ("few-shot", 10): 15,
    ("few-shot", 50): 15,
    ("few-shot-nearest", 1): 24,
    ("few-shot-nearest", 10): 24,
    ("few-shot-nearest", 50): 27,
    ("lora", 1): 0,
    ("lora", 10): 15,
    ("lora", 50): 30,
}
"""How many of the first items are right."""
RUN = {
    "id": "r",
    "items": {"colours": ITEMS},
    "available_items": {"colours": 90},
    "clusters": {"colours": ITEMS},
    "scorers": {"colours": "label"},
}


def answers() -> list[AnswerRow]:
    curve = [
        row(n, arm=f"{c}@{size}", score=float(n < RIGHT[c, size]), train_seed=_seed(c))
        for c, size in product(CHANNELS, SIZES)
        for n in range(ITEMS)
    ]
    return [*curve, *(row(n, arm=arm) for arm in ("prompt", "lora") for n in range(ITEMS))]


def _seed(channel: str) -> int | None:
    return 0 if channel == "lora" else None


def taught(size: int, seed: int = 0) -> AdapterFigures:
    return AdapterFigures(
        version=f"dose-colours@{size:011x}{seed}",
        examples=size,
        seconds=2.0,
        bytes=9,
        proven=True,
        seed=seed,
    )


def report(
    rows: list[AnswerRow], *, sizes: tuple[int, ...] = SIZES, extras: Extras | None = None
) -> Report:
    dosed = {("colours", f"lora@{size}"): [taught(size)] for size in sizes}
    return build_report(
        rows,
        skills=["colours"],
        arms=["prompt", "lora"],
        run=RUN,
        extras=extras or Extras(dosed=dosed),
        doses=sizes,
    )


def test_scores_and_differences_are_those_of_the_answers() -> None:
    made = report(answers())
    jsonschema.validate(made.model_dump(mode="json"), schema())
    assert [(d.channel, d.examples) for d in made.doses] == list(RIGHT)
    for dose in made.doses:
        scores = [float(n < RIGHT[dose.channel, dose.examples]) for n in range(ITEMS)]
        wanted = mean_estimate(scores, [f"c{n}" for n in range(ITEMS)])
        assert (dose.measured, dose.n, dose.clusters) == (True, ITEMS, ITEMS)
        assert (dose.score, dose.ci_low, dose.ci_high) == (wanted.value, wanted.low, wanted.high)
        assert (dose.adapter is None) == (dose.channel != "lora")
    crossed = next(c for c in made.crossovers if (c.a, c.b) == ("few-shot", "lora"))
    for one in crossed.differences:
        a, b = (
            [float(n < RIGHT[channel, one.examples]) for n in range(ITEMS)]
            for channel in (crossed.a, crossed.b)
        )
        found = paired_difference(a, b, [f"c{n}" for n in range(ITEMS)], rare=True)
        assert (one.delta, one.ci_low, one.ci_high) == (found.value, found.low, found.high)


def test_the_curve_is_in_no_contrast_no_arm_and_no_recommendation() -> None:
    plain = [one for one in answers() if "@" not in one.arm]
    made, without = report(answers()), report(plain, sizes=())
    assert (without.doses, without.crossovers) == ((), ())
    assert made.arms == without.arms
    assert made.pairs == without.pairs
    assert made.recommendations == without.recommendations
    [pair] = made.pairs
    assert pair.p_holm == pair.p


def test_a_crossover_lies_between_two_sizes_and_says_what_it_rests_on() -> None:
    crossed = {(c.a, c.b): c for c in report(answers()).crossovers}
    shown = crossed["few-shot", "lora"]
    assert (shown.low, shown.high, shown.shown, shown.where) == (1, 50, True, "between 1 and 50")
    assert shown.sentence.startswith(
        "lora overtakes few-shot between 1 and 50 examples: lora - few-shot is -80.0 points ["
    )
    assert shown.sentence.endswith("] at 50. These adapters: one training seed.")
    nearest = crossed["few-shot", "few-shot-nearest"]
    assert (nearest.where, nearest.shown) == ("not within 10..50", False)
    assert "at 1 the interval holds 0" in nearest.sentence


def differences(*signs: int) -> list[DoseDifference]:
    """By size 1, 10, 100 ...: a difference shown to have this sign, or shown to have none."""
    return [
        DoseDifference(
            examples=10**place,
            n=9,
            clusters=9,
            delta=0.3 * sign,
            ci_low=0.3 * sign - 0.2,
            ci_high=0.3 * sign + 0.2,
        )
        for place, sign in enumerate(signs)
    ]


def crossing(*signs: int, seeds: int = 3) -> tuple[Crossover, ...]:
    return crossovers("colours", "few-shot", "lora", differences(*signs), seeds=seeds)


@pytest.mark.parametrize(
    ("signs", "where", "low", "high"),
    [
        pytest.param((-1, 1), "between 1 and 10", 1, 10, id="at once"),
        pytest.param((-1, 0, 1), "between 1 and 100", 1, 100, id="over an open size"),
        pytest.param((0, 1, -1, 0), "between 10 and 100", 10, 100, id="the other way"),
        pytest.param((-1, -1, 0), ">= 10", 10, None, id="not reached"),
        pytest.param((-1, -1, -1), "not within 1..100", None, None, id="never"),
        pytest.param((1, 1), "not within 1..10", None, None, id="never, the other ahead"),
        pytest.param((0, 1, 1), "not within 10..100", None, None, id="open below"),
        pytest.param((0, 0, 1), "not shown", None, None, id="ahead at the last size alone"),
        pytest.param((0, 1, 0), "not shown", None, None, id="ahead in the middle alone"),
        pytest.param((1, 0, 1), "not shown", None, None, id="open in the middle"),
        pytest.param((0, 0), "not shown", None, None, id="nothing is shown"),
        pytest.param((1,), "not shown", None, None, id="one size"),
        pytest.param((), "not measured", None, None, id="no size"),
    ],
)
def test_a_number_stands_only_where_it_was_reached(
    signs: tuple[int, ...], where: str, low: int | None, high: int | None
) -> None:
    [found] = crossing(*signs)
    assert (found.where, found.low, found.high) == (where, low, high)
    assert found.shown == (high is not None)
    assert found.shown == ("overtakes" in found.sentence)


def test_each_change_of_sign_is_told() -> None:
    first, second = crossing(-1, 1, -1)
    assert (first.where, second.where) == ("between 1 and 10", "between 10 and 100")
    assert second.sentence.startswith("few-shot overtakes lora")


def test_with_three_training_seeds_the_sentence_speaks_of_lora() -> None:
    [three], [two] = crossing(-1, 1), crossing(-1, 1, seeds=2)
    assert "seed" not in three.sentence
    assert two.sentence.endswith("These adapters: 2 training seeds.")


def test_training_seeds_are_counted_and_their_adapters_named() -> None:
    seeds = [
        one.model_copy(update={"train_seed": seed})
        for one in answers()
        for seed in ((0, 1, 2) if one.arm.startswith("lora@") else (one.train_seed,))
    ]
    dosed = {("colours", f"lora@{n}"): [taught(n, seed) for seed in (0, 1, 2)] for n in SIZES}
    made = report(seeds, extras=Extras(dosed=dosed))
    dose = next(one for one in made.doses if one.arm == "lora@10")
    assert (len(dose.adapters), dose.adapter) == (3, dose.adapters[0])
    assert dose.training_seconds == 6.0
    assert "training seed" not in made.crossovers[-1].sentence


def test_prompts_that_do_not_fit_are_not_measured_even_if_others_did() -> None:
    rows = [
        one.model_copy(update={"score": None, "output": None, "failure": "context-length"})
        if (one.arm, one.item) == ("few-shot@50", "i3")
        else one
        for one in answers()
    ]
    made = report(rows)
    dose = next(one for one in made.doses if one.arm == "few-shot@50")
    assert (dose.measured, dose.score, dose.failures) == (False, None, 1)
    assert dose.reason == (
        "not measured: 1 of 30 prompts with 50 examples do not fit into the model's context"
    )
    crossed = next(c for c in made.crossovers if (c.a, c.b) == ("few-shot", "lora"))
    assert (crossed.where, crossed.low) == (">= 1", 1)


def test_other_failures_are_counted_apart_and_a_size_of_failures_alone_has_no_score() -> None:
    rows = [
        one.model_copy(update={"score": None, "output": None, "failure": "engine"})
        if one.arm == "lora@50" or (one.arm, one.item) == ("lora@10", "i0")
        else one
        for one in answers()
    ]
    doses = {one.arm: one for one in report(rows).doses}
    assert (doses["lora@10"].n, doses["lora@10"].failures) == (ITEMS - 1, 1)
    assert doses["lora@50"].reason == "not measured: no answer was scored"


def test_sizes_that_were_left_out_or_never_answered_say_why() -> None:
    why = "left out: there are 30 training examples"
    reasons = {("colours", f"{channel}@99"): why for channel in CHANNELS}
    made = report(answers(), sizes=(*SIZES, 99, 100), extras=Extras(reasons=reasons))
    doses = {one.arm: one for one in made.doses}
    assert (doses["lora@99"].measured, doses["lora@99"].reason) == (False, why)
    assert doses["lora@100"].reason == "not measured: no answer was kept"
    [table] = tables(made)
    assert table.doses[3] == ("99", "left out", "left out", "left out", "-", "-", "-")
    assert f"few-shot@99, few-shot-nearest@99, lora@99: {why}" in table.notes


def test_an_adapter_that_failed_in_one_fold_has_no_score_from_the_others() -> None:
    reasons = {("colours", "lora@10"): "not measured: it was not shown to be active"}
    doses = {one.arm: one for one in report(answers(), extras=Extras(reasons=reasons)).doses}
    assert (doses["lora@10"].measured, doses["lora@10"].n) == (False, 0)


def test_the_table_has_a_row_per_size_and_calls_the_curve_exploratory() -> None:
    [table] = tables(report(answers()))
    assert [cells[0] for cells in table.doses] == ["1", "10", "50"]
    assert table.doses[2][3].startswith("100.0 [")
    assert table.doses[2][5].startswith("+50.0 [")
    assert EXPLORATORY in table.notes
    written = markdown(report(answers()))
    assert "| examples | few-shot % [95 %] | few-shot-nearest % [95 %] | lora % [95 %] |" in written
    assert "lora overtakes few-shot between 1 and 50 examples" in written


def test_without_doses_nothing_is_said_of_them() -> None:
    plain = [one for one in answers() if "@" not in one.arm]
    [table] = tables(report(plain, sizes=()))
    assert table.doses == ()
    assert not any("dose" in note for note in table.notes)
