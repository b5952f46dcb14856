"""Two runs side by side, from their folders."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from rag_adapt.bench.compare import ArmComparison, Comparison, compare
from rag_adapt.bench.store import REPORT, AnswerRow, RunFolder, RunWriter, open_run
from rag_adapt.stats.intervals import mean_estimate, paired_difference
from tests.samples import row

FINGERPRINT = {"engine": "embedded", "weights": "aaaa", "template_hash": "t", "dtype": "bfloat16"}


def folder(
    path: Path,
    rows: Sequence[AnswerRow],
    *,
    report: dict[str, Any] | None = None,
    plan: dict[str, Any] | None = None,
    fingerprint: dict[str, Any] | None = None,
) -> RunFolder:
    """A run on disk; finished where it has a report."""
    run = open_run(
        path.parent,
        path,
        plan_hash=path.name,
        command="rag-adapt bench",
        plan={"skills": {"colours": "1111"}, "arms": ["prompt", "lora"], "seed": 0} | (plan or {}),
        fingerprint=FINGERPRINT | (fingerprint or {}),
    )
    with RunWriter(run) as writer:
        for one in rows:
            writer.append(one)
        if report is not None:
            writer.finish(report)
    return run


def both(own_folder: Path, a: list[AnswerRow], b: list[AnswerRow]) -> Comparison:
    return compare(folder(own_folder / "a", a), folder(own_folder / "b", b))


def only(found: Comparison) -> ArmComparison:
    assert len(found.arms) == 1
    return found.arms[0]


def test_an_arm_is_paired_by_item_and_fixed_and_broken_are_named(own_folder: Path) -> None:
    before = [row(n, score=float(n < 4)) for n in range(8)]
    after = [row(n, score=float(n > 0)) for n in range(8)]
    arm = only(both(own_folder, before, after))
    assert arm.change is not None
    expected = paired_difference(
        [float(n < 4) for n in range(8)],
        [float(n > 0) for n in range(8)],
        [f"c{n}" for n in range(8)],
    )
    assert arm.change.delta == pytest.approx(expected.value)
    assert (arm.change.ci_low, arm.change.ci_high) == (expected.low, expected.high)
    assert arm.change.fixed == ("i4", "i5", "i6", "i7")
    assert arm.change.broken == ("i0",)
    assert arm.a is not None
    assert arm.b is not None
    assert arm.a.score == mean_estimate([float(n < 4) for n in range(8)], list("01234567")).value
    assert arm.b.score == 7 / 8
    assert arm.b.n == 8


def test_repeats_are_averaged_and_failures_left_out(own_folder: Path) -> None:
    before = [row(1, score=0.0), row(1, score=1.0, repeat=1), row(2), row(3, score=None)]
    after = [row(1), row(2, score=None, failure="engine", output=None), row(3)]
    arm = only(both(own_folder, before, after))
    assert arm.change is not None
    assert (arm.change.n, arm.change.delta, arm.change.fixed) == (1, 0.5, ("i1",))


def test_the_same_experiment_twice_is_comparable(own_folder: Path) -> None:
    found = both(own_folder, [row(1), row(2)], [row(1), row(2)])
    assert found.comparable
    assert found.reasons == ()
    assert found.different == ()


def test_items_with_another_input_are_not_paired_and_the_runs_not_comparable(
    own_folder: Path,
) -> None:
    found = both(own_folder, [row(1), row(2)], [row(1), row(2, input="another question")])
    arm = only(found)
    assert (arm.change and arm.change.n, arm.other_inputs) == (1, 1)
    assert found.reasons == ("1 items of 'colours' have the same id and another input: not paired",)


@pytest.mark.parametrize(
    ("plan", "fingerprint", "reason"),
    [
        ({"skills": {"colours": "2222"}}, {}, "skill 'colours' has other data: 1111 in a, 2222"),
        ({}, {"weights": "bbbb"}, "model.weights differs: aaaa in a, bbbb in b"),
        ({}, {"dtype": "float32"}, "model.dtype differs"),
    ],
    ids=["skill", "weights", "dtype"],
)
def test_another_skill_or_model_is_not_comparable_and_is_shown_all_the_same(
    own_folder: Path, plan: dict[str, Any], fingerprint: dict[str, Any], reason: str
) -> None:
    a = folder(own_folder / "a", [row(1)])
    b = folder(own_folder / "b", [row(1)], plan=plan, fingerprint=fingerprint)
    found = compare(a, b)
    assert not found.comparable
    assert found.reasons[0].startswith(reason)
    assert only(found).change is not None


def test_what_differs_in_plan_and_versions_is_listed_without_making_runs_incomparable(
    own_folder: Path,
) -> None:
    a = folder(own_folder / "a", [row(1)], report={"run": {"versions": {"torch": "1"}}})
    b = folder(
        own_folder / "b", [row(1)], plan={"seed": 7}, report={"run": {"versions": {"torch": "2"}}}
    )
    found = compare(a, b)
    assert found.comparable
    assert [(one.what, one.a, one.b) for one in found.different] == [
        ("plan.seed", 0, 7),
        ("versions.torch", "1", "2"),
    ]


def test_another_scorer_is_not_comparable(own_folder: Path) -> None:
    a = folder(own_folder / "a", [row(1)], report={"run": {"scorers": {"colours": "exact"}}})
    b = folder(own_folder / "b", [row(1)], report={"run": {"scorers": {"colours": "f1"}}})
    assert compare(a, b).reasons == ("scorers.colours differs: exact in a, f1 in b",)


def test_arms_in_one_run_alone_have_no_change_and_nothing_shared_is_said(
    own_folder: Path,
) -> None:
    found = both(own_folder, [row(1, arm="lora")], [row(1, arm="prompt")])
    assert [(arm.arm, arm.a is None, arm.b is None) for arm in found.arms] == [
        ("prompt", True, False),
        ("lora", False, True),
    ]
    assert all(arm.change is None for arm in found.arms)
    assert found.reasons == ("no item was answered by the same arm of the same skill in both runs",)


def test_scores_are_those_that_the_run_reported_under_whichever_schema(own_folder: Path) -> None:
    arm = {"skill": "colours", "arm": "prompt", "score": 0.5, "ci_low": 0.1, "ci_high": 0.9, "n": 9}
    unmeasured = {"skill": "colours", "arm": "lora", "score": None}
    kept = {"schema_version": "1.0", "run": {}, "arms": [arm, unmeasured]}
    a = folder(own_folder / "a", [row(1), row(1, arm="lora")], report=kept)
    b = folder(own_folder / "b", [row(1), row(1, arm="lora")])
    found = compare(a, b).arms
    assert found[0].a is not None
    assert (found[0].a.score, found[0].a.n) == (0.5, 9)
    assert found[0].b is not None
    assert (found[0].b.score, found[0].b.n) == (1.0, 1)
    assert found[1].a is not None
    assert found[1].a.score == 1.0


def test_the_comparison_is_plain_json(own_folder: Path) -> None:
    found = both(own_folder, [row(1)], [row(1)])
    text = json.loads(found.model_dump_json())
    assert Comparison.model_validate(text) == found
    assert not (own_folder / "a" / REPORT).exists()
