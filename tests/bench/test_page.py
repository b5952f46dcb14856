"""The page as text: order, completeness, escaping, bounded size."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from rag_adapt.bench.figures import ArmReport, Report
from rag_adapt.bench.page import charts, curve
from rag_adapt.bench.page.charts import MAX_LABELS
from rag_adapt.bench.page.document import chart_library, pieces, write_page
from rag_adapt.bench.page.evidence import SHOWN_ITEMS, Confusion, gather
from rag_adapt.bench.page.scores import pareto
from rag_adapt.bench.page.subject import subjects
from rag_adapt.bench.store import AnswerRow
from tests.bench.page_samples import report
from tests.samples import row

HEADINGS = [
    "Recommendation",
    "Scores",
    "Paired differences",
    "Score against cost",
    "Fixed and broken items",
    "Mixed-up labels",
    "Retrieval and score",
    "Dose curve",
    "Learning",
    "Latency",
    "Control arms",
    "Format against knowledge",
    "Adapters and their guard",
    "Retrieval and adapter together",
    "Leaks",
    "What the base model already has",
    "What each route was given",
]


def page_of(found: Report, rows: list[AnswerRow]) -> str:
    """The page without the chart library and the style."""
    text = "".join(pieces(found, gather(found, lambda: rows), library=""))
    return re.sub(r"<(script|style)>.*?</\1>", "", text, flags=re.S)


@pytest.fixture(scope="module")
def page() -> str:
    return page_of(*report())


def test_every_sentence_comes_before_any_section(page: str) -> None:
    main = page.index("<main")
    first_section = page.index('id="skill-1"')
    assert page[main:first_section].count('class="sentence"') == 4
    assert page.index('class="answer"') < page.index("<h3>")


def test_retrieval_says_hits_rescue_and_harm_and_tags_are_text(page: str) -> None:
    assert "31 of 50" in page
    assert "2 of 10" in page
    assert "&lt;b&gt;by boat&lt;/b&gt;" in page
    assert "<b>by boat</b>" not in page


def test_sections_stand_in_their_order_and_all_are_there(page: str) -> None:
    tickets = page[page.index('id="skill-4"') : page.index('id="run"')]
    assert re.findall(r"<h3>(.*?)</h3>", tickets) == HEADINGS


def test_the_dose_curve_is_drawn_by_size_and_says_what_it_is_and_what_is_missing() -> None:
    found, _ = report(["orders"])
    [subject] = subjects(found, gather(found, list))
    shown = str(curve.curve(subject))
    assert "exploratory, in no declared contrast" in shown
    assert "lora overtakes few-shot between 10 and 50 examples" in shown
    assert "do not fit into the model" in shown
    assert shown.count("<tr>") == 1 + 11 + 1 + 10
    drawn = curve.learning_curve([dose for dose in subject.doses if dose.measured])
    point = drawn["layer"][2]["encoding"]
    assert point["x"]["scale"]["type"] == "log"
    assert point["x"]["axis"]["values"] == [1, 10, 50, 200]
    assert point["shape"]["scale"]["domain"] == ["few-shot", "few-shot-nearest", "lora"]
    assert len(drawn["data"]["values"]) == 11


def test_a_curve_without_any_score_says_why_and_draws_nothing() -> None:
    found, _ = report(["orders"])
    out = tuple(
        one.model_copy(update={"measured": False, "score": None, "reason": "left out: too few"})
        for one in found.doses
    )
    [subject] = subjects(found.model_copy(update={"doses": out}), gather(found, list))
    shown = str(curve.curve(replace(subject, crossovers=())))
    assert "<figure" not in shown
    assert shown.count("left out: too few") == len(out)


def test_a_section_with_nothing_measured_is_left_out() -> None:
    found = Report(
        run={"id": "r"},
        arms=(
            ArmReport(
                skill="colours",
                arm="rag",
                control=False,
                measured=False,
                reason="not measured: no corpus",
            ),
        ),
    )
    text = page_of(found, [])
    assert re.findall(r"<h3>(.*?)</h3>", text) == ["Scores"]
    assert "<strong>rag</strong>: no corpus" in text
    assert "This run makes no recommendation." in text
    assert "<figure" not in text


def test_a_small_plan_says_so_and_a_full_one_does_not(page: str) -> None:
    assert "A small run." in page
    assert "orders 60 of 120" in page
    found, rows = report(["orders"], n=12)
    full = found.model_copy(update={"run": found.run | {"available_items": {"orders": 12}}})
    assert "A small run." not in page_of(full, rows)


def test_the_run_is_told_with_hashes_versions_and_command(page: str) -> None:
    told = page[page.index('id="run"') :]
    for expected in ("rag-adapt bench --items 60", "9e7c1e93c29a", "2.13.0+cpu", "f8d3ad3063c6"):
        assert expected in told


def test_what_a_recommendation_holds_for_keeps_the_hash_of_a_named_part() -> None:
    found, rows = report(["orders"], n=12)
    valid = {"model": "0123456789abcdef", "collection": "skill-orders@43f896744b19"}
    said = found.recommendations[0].model_copy(update={"valid_for": valid})
    text = page_of(found.model_copy(update={"recommendations": (said,)}), rows)
    assert "model 0123456789ab, collection skill-orders@43f896744b19." in text


def test_every_chart_has_title_sentence_data_and_names_no_address(page: str) -> None:
    figures = re.findall(r"<figure.*?</figure>", page, flags=re.S)
    assert len(figures) == 4 * 7 + 4
    for figure in figures:
        assert re.search(r"<h4>[^<]+</h4><p>[^<]{30,}</p>", figure)
        assert 'href="data:text/csv' in figure
        spec = re.search(r'class="spec">(.*?)</script>', figure, flags=re.S)
        assert spec is not None
        assert "://" not in spec[1]
        assert json.loads(spec[1])["width"] == "container"


def test_the_page_points_nowhere_outside(page: str) -> None:
    assert re.findall(r'(?:src|href|action)="(?!#|data:text/csv)', page) == []
    assert re.search(r"default-src &#x27;none&#x27;; script-src &#x27;sha256-", page)
    assert "unsafe" not in page


def test_items_shown_are_bounded_and_counted() -> None:
    rows = [row(n, arm="prompt", score=0.0, output="no") for n in range(50)]
    rows += [row(n, arm="rag", score=1.0, output="yes") for n in range(50)]
    template, _ = report(["orders"], n=12)
    pair = template.pairs[0].model_copy(update={"skill": "colours", "a": "prompt", "b": "rag"})
    found = Report(run={}, arms=(), pairs=(pair,))
    turns = gather(found, lambda: rows).turns["colours"][0]
    assert (turns.fixed, turns.broken) == (50, 0)
    assert len(turns.fixed_items) == SHOWN_ITEMS
    assert [one.item for one in turns.fixed_items[:3]] == ["i0", "i1", "i2"]
    assert (turns.fixed_items[0].a.output, turns.fixed_items[0].b.output) == ("no", "yes")


def test_failures_unscored_answers_and_repeats_do_not_turn_items() -> None:
    rows = [
        row(1, arm="prompt", score=None, failure="engine", output=None),
        row(1, arm="rag"),
        row(2, arm="prompt", score=0.0, output="wrong"),
        row(2, arm="prompt", score=1.0, repeat=1),
        row(2, arm="rag", score=0.0, output="bad"),
        row(2, arm="rag", score=1.0, repeat=1),
        row(3, arm="prompt", score=1.0),
        row(3, arm="rag", score=1.0, repeat=0),
        row(3, arm="rag", score=0.0, repeat=1, output="broke"),
    ]
    template, _ = report(["orders"], n=12)
    pair = template.pairs[0].model_copy(update={"skill": "colours"})
    turns = gather(Report(run={}, arms=(), pairs=(pair,)), lambda: rows).turns["colours"][0]
    assert (turns.fixed, [one.item for one in turns.broken_items]) == (0, ["i3"])
    assert turns.broken_items[0].b.output == "broke"
    assert turns.broken_items[0].b_mean == 0.5


def test_counts_of_fixed_and_broken_agree_with_the_report() -> None:
    found, rows = report()
    evidence = gather(found, lambda: rows)
    for turns in (one for ones in evidence.turns.values() for one in ones):
        assert (turns.fixed, turns.broken) == (turns.pair.fixed, turns.pair.broken)


def test_confusions_count_right_wrong_and_missing_labels() -> None:
    rows = [
        row(1, extracted="red"),
        row(2, extracted="blue", score=0.0),
        row(3, extracted=None, score=0.0, output="a nice day"),
        row(4, targets=("red", "crimson"), extracted="crimson"),
    ]
    arm = ArmReport(skill="colours", arm="prompt", control=False, measured=True)
    found = Report(run={"scorers": {"colours": "label"}}, arms=(arm,))
    only = gather(found, lambda: rows).confusions["colours"][0]
    assert dict(only.counts) == {
        ("red", "red"): 2,
        ("red", "blue"): 1,
        ("red", "no label"): 1,
    }
    assert only.labels == ("red", "blue")


def test_the_pareto_front_holds_no_control_and_no_beaten_route() -> None:
    found, rows = report(["manual"])
    arms = subjects(found, gather(found, lambda: rows))[0].measured
    front = pareto(arms)
    assert front == ("prompt", "lora", "rag")
    assert "nearest-label" not in front


def test_too_many_labels_are_listed_and_not_drawn() -> None:
    found, rows = report(["tickets"], n=12)
    many = [
        one.model_copy(update={"target": f"label {n}", "targets": (f"label {n}",)})
        for n, one in enumerate(rows)
    ]
    many += [
        one.model_copy(update={"item": f"x{n}", "target": f"more {n}", "targets": (f"more {n}",)})
        for n, one in enumerate(rows * 2)
    ]
    text = page_of(found, many)
    assert len({one.target for one in many}) > MAX_LABELS
    assert "Confusion matrix" not in text
    assert "Most frequent mix-ups of lora" in text


def test_a_matrix_of_many_labels_is_drawn_without_numbers() -> None:
    labels = tuple(f"l{n}" for n in range(30))
    counts = {(label, label): 3 for label in labels}
    spec = charts.confusion(Confusion(skill="s", arm="a", labels=labels, counts=counts))
    assert "layer" not in spec
    assert spec["height"] == 30 * 14


def test_costs_are_linear_where_they_are_alike() -> None:
    found, rows = report(["manual"])
    arms = subjects(found, gather(found, lambda: rows))[0].routes
    text = json.dumps(charts.costs(arms, pareto(arms), "seconds"))
    assert '"type": "log"' not in text


def test_the_page_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    found, rows = report(["orders"], n=12)

    def broken() -> list[AnswerRow]:
        raise OSError("disk gone")

    with pytest.raises(OSError, match="disk gone"):
        write_page(found, broken, path, library=str)
    assert path.read_text() == "old"
    write_page(found, lambda: rows, path, library=str)
    assert path.read_text().startswith("<!doctype html>")
    assert [one.name for one in tmp_path.iterdir()] == ["report.html"]


def test_the_chart_library_is_bundled_once_and_stays_small(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    bundle = chart_library(cache)
    assert "vegaEmbed" in bundle
    assert len(bundle) < 1_500_000
    (kept,) = cache.iterdir()
    kept.write_text("kept")
    assert chart_library(cache) == "kept"


def test_a_surrogate_in_an_answer_does_not_stop_the_page(tmp_path: Path) -> None:
    found, rows = report(["orders"], n=12)
    odd = [one.model_copy(update={"output": "half a \ud83d pair"}) for one in rows]
    write_page(found, lambda: odd, tmp_path / "report.html", library=str)
    assert "half a" in (tmp_path / "report.html").read_text()
