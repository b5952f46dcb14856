"""Every figure of a report, recomputed from rows."""

import json
import statistics

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_adapt.bench.figures import (
    AdapterFigures,
    ArmReport,
    CollectionFigures,
    Report,
    schema,
)
from rag_adapt.bench.report import Extras, build_report, quantile
from rag_adapt.bench.store import AnswerRow
from rag_adapt.bench.table import tables
from tests.samples import row

NOTHING = Extras()
RUN = {
    "id": "r",
    "items": {"colours": 3},
    "available_items": {"colours": 9},
    "clusters": {"colours": 3},
    "scorers": {"colours": "label"},
}


def report(rows: list[AnswerRow], *arms: str, extras: Extras = NOTHING) -> Report:
    return build_report(rows, skills=["colours"], arms=arms, run=RUN, extras=extras)


def only(rows: list[AnswerRow], extras: Extras = NOTHING) -> ArmReport:
    return report(rows, "prompt", extras=extras).arms[0]


def test_a_score_is_the_mean_over_items_with_its_interval() -> None:
    arm = only([row(1), row(2, score=0.0), row(3)])
    assert arm.measured
    assert (arm.n, arm.clusters) == (3, 3)
    assert arm.score == pytest.approx(2 / 3)
    assert arm.ci_low is not None
    assert arm.ci_high is not None
    assert arm.ci_low < 2 / 3 < arm.ci_high
    assert arm.ci_method == "wilson"


def test_repeats_are_averaged_per_item_first() -> None:
    arm = only([row(1), row(1, repeat=1, score=0.0), row(2)])
    assert arm.n == 2
    assert arm.score == pytest.approx(0.75)


def test_failures_and_unscored_answers_are_counted_apart_and_never_as_zero() -> None:
    arm = only([row(1), row(2, score=None), row(3, score=None, failure="engine", output=None)])
    assert (arm.n, arm.failures, arm.unscored, arm.score) == (1, 1, 1, 1.0)
    assert arm.failure_codes == {"engine": 1}


def test_only_answers_computed_alone_and_uncached_are_latencies() -> None:
    arm = only(
        [
            row(1, alone=True, total=3.0, first_token=1.0),
            row(2, alone=True, cached=True, total=99.0),
            row(3, alone=False, total=99.0),
        ]
    )
    assert (arm.latency_n, arm.latency_p50, arm.latency_p95) == (1, 3.0, 3.0)
    assert arm.first_token_p50 == 1.0
    assert arm.cost is not None
    assert (arm.cost.value, arm.cost.unit) == (3.0, "compute-seconds/answer")
    assert arm.cached == 1


def test_an_arm_from_cache_alone_has_no_latency() -> None:
    arm = only([row(1, alone=True, cached=True)])
    assert arm.latency_p50 is None
    assert arm.cost is None


def test_tokens_and_seconds_are_sums_over_answers() -> None:
    arm = only([row(1), row(2)])
    assert (arm.tokens_in, arm.tokens_out, arm.seconds) == (20, 4, 4.0)


def test_an_arm_without_answers_is_not_measured_with_its_reason_and_no_figures() -> None:
    extras = Extras(reasons={("colours", "prompt"): "no corpus"}, adapters={}, collections={})
    arm = only([], extras)
    assert (arm.measured, arm.reason) == (False, "no corpus")
    assert (arm.score, arm.ci_low, arm.tokens_in, arm.seconds) == (None, None, None, None)


def test_an_arm_of_failures_is_not_measured() -> None:
    arm = only([row(1, score=None, failure="engine", output=None)])
    assert (arm.measured, arm.score, arm.failures) == (False, None, 1)


def test_the_difference_is_to_the_best_control_on_shared_items() -> None:
    rows = [
        *[row(n, arm="bare", score=0.0) for n in (1, 2, 3)],
        *[row(n, arm="nearest-label", score=float(n == 1)) for n in (1, 2, 3)],
        *[row(n, arm="prompt", score=1.0) for n in (1, 2)],
    ]
    arms = {a.arm: a for a in report(rows, "prompt", "bare", "nearest-label").arms}
    difference = arms["prompt"].difference
    assert difference is not None
    assert (difference.arm, difference.n, difference.value) == ("nearest-label", 2, 0.5)
    assert arms["nearest-label"].difference is None


def test_without_a_control_there_is_no_difference() -> None:
    assert only([row(1)]).difference is None


def test_other_scorers_stand_beside_the_primary_one() -> None:
    rows = [row(1, scores={"f1": 0.5}), row(2, scores={"f1": 1.0, "exact": None})]
    assert only(rows).scores == {"f1": 0.75}


def test_the_report_follows_its_published_schema() -> None:
    extras = Extras(
        reasons={},
        adapters={
            "colours": [
                AdapterFigures(
                    version="colours@0123456789ab", examples=5, seconds=1.0, bytes=9, proven=True
                )
            ]
        },
        collections={
            "colours": CollectionFigures(name="c@1", documents=1, chunks=2, seconds=None, bytes=3)
        },
    )
    rows = [row(1, arm=arm) for arm in ("prompt", "lora", "rag", "bare")]
    made = report(rows, "prompt", "lora", "rag", "bare", "oracle", extras=extras)
    data = json.loads(made.model_dump_json())
    jsonschema.validate(data, schema())
    assert data["schema_version"] == "2.1"
    published = (
        "skill arm n failures score ci_low ci_high tokens_in tokens_out seconds "
        "latency_p50 latency_p95 cost measured reason"
    ).split()
    assert set(published) <= set(data["arms"][0])
    arms = {arm.arm: arm for arm in made.arms}
    assert [one.version for one in arms["lora"].adapters] == ["colours@0123456789ab"]
    assert arms["prompt"].adapters == ()
    assert arms["rag"].collection is not None


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), st.floats(0, 1))
def test_quantiles_are_numpys(values: list[float], q: float) -> None:
    assert quantile(values, q) == pytest.approx(float(np.quantile(values, q)), abs=1e-6)
    assert quantile(values, 0.5) == pytest.approx(statistics.median(values), abs=1e-6)


def test_a_table_shows_scores_differences_and_what_was_not_measured() -> None:
    extras = Extras(
        reasons={("colours", "rag"): "not measured: no corpus"},
        adapters={
            "colours": [
                AdapterFigures(
                    version="colours@0123456789ab",
                    examples=5,
                    seconds=61.0,
                    bytes=2_000_000,
                    proven=True,
                )
            ]
        },
        collections={
            "colours": CollectionFigures(name="c@1", documents=1, chunks=2, seconds=None, bytes=3)
        },
    )
    rows = [
        row(1, arm="prompt", alone=True, scores={"f1": 0.25}),
        row(1, arm="lora", cached=True),
        row(2, arm="lora", score=None, failure="engine", output=None),
        row(1, arm="bare", score=0.0),
        row(1, arm="closed-book", score=0.0),
    ]
    made = report(rows, "prompt", "rag", "lora", "bare", "closed-book", extras=extras)
    [table] = tables(made)
    assert table.title == (
        "colours: 3 of 9 test items in 3 clusters, scored by label; best control: bare"
    )
    cells = {r[0]: r[1:] for r in table.rows}
    assert cells["prompt"][0].startswith("100.0 [")
    assert cells["prompt"][1] == "f1 25.0"
    assert cells["prompt"][4].startswith("+100.0 [")
    assert cells["prompt"][5] == "1.00 s"
    assert cells["rag"][0] == "not measured: no corpus"
    assert cells["lora"][5] == "cached"
    assert "bare (control)" in cells
    notes = "\n".join(table.notes)
    assert "61 s of training" in notes
    assert "proven active" in notes
    assert "built before" in notes
    assert "lora: engine x 1" in notes
    assert "no latency measurement" in notes
