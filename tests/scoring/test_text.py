"""Scorers of plain text: tables of right and wrong answers, and laws that hold for any text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_adapt.core.protocols import Scorer
from rag_adapt.core.types import Item
from rag_adapt.scoring.text import F1, Exact, Number, Regex, last_number, normalised, token_f1

TEXT = st.text(max_size=60)


def item(*targets: str) -> Item:
    return Item(id="i", input="?", targets=targets, split="test", cluster="i")


@pytest.mark.parametrize(
    ("output", "target", "value"),
    [
        ("Paris", "Paris", 1.0),
        ("  the Paris. ", "paris", 1.0),
        ("An apple,  a day", "apple day", 1.0),
        ("Paris, France", "Paris", 0.0),
        ("", "Paris", 0.0),
        ("@", "@", 1.0),
        ("!", "@", 0.0),
        ("", "the", 0.0),
        ("the", "the", 1.0),
    ],
)
def test_exact_compares_after_squad_normalisation(output: str, target: str, value: float) -> None:
    assert Exact().score(output, item(target)).value == value


def test_exact_takes_any_alias() -> None:
    score = Exact().score("NYC", item("New York City", "NYC"))

    assert score.value == 1.0
    assert score.extracted == "nyc"
    assert score.explanation == "equals target 'NYC'"


@pytest.mark.parametrize(
    ("output", "targets", "value"),
    [
        ("the cat sat", ("cat sat",), 1.0),
        ("cat", ("cat sat",), 2 / 3),
        ("cat cat cat sat", ("cat sat",), 2 * 2 / 6),
        ("dog", ("cat sat",), 0.0),
        ("", ("cat sat",), 0.0),
        ("cat sat", ("dog", "sat cat"), 1.0),
    ],
)
def test_f1_is_the_best_overlap_of_words(
    output: str, targets: tuple[str, ...], value: float
) -> None:
    assert F1().score(output, item(*targets)).value == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("7", 7.0),
        ("3 + 4 = 7 kg", 7.0),
        ("$1,234.50", 1234.5),
        ("1,234,567 people", 1234567.0),
        ("10-12", 12.0),
        ("x=-3", -3.0),
        ("\u22124 °C", -4.0),
        ("-.5", -0.5),
        ("50%", 50.0),
        ("5km/h", 5.0),
        ("1e3 m", 1000.0),
        ("It is 12.", 12.0),
        ("R2D2 has 5", 5.0),
        ("B2", None),
        ("none", None),
        ("1e999", None),
        ("3 then 1e999", 3.0),
    ],
)
def test_the_last_number_of_a_text_is_read(text: str, number: float | None) -> None:
    assert last_number(text) == number


@pytest.mark.parametrize(
    ("output", "target", "value"),
    [
        ("The answer is 8 apples.", "8", 1.0),
        ("8.0", "8", 1.0),
        ("1,000", "1000", 1.0),
        ("8.01", "8", 0.0),
        ("-8", "8", 0.0),
        ("eight", "8", 0.0),
        ("eight", "eight", None),
    ],
)
def test_number_compares_values_and_not_letters(
    output: str, target: str, value: float | None
) -> None:
    assert Number().score(output, item(target)).value == value


def test_the_tolerance_of_a_number_is_relative() -> None:
    assert Number(tolerance=0.01).score("101", item("100")).value == 1.0
    assert Number(tolerance=0.01).score("102", item("100")).value == 0.0


@pytest.mark.parametrize(
    ("output", "pattern", "value"),
    [
        (" AB-12 \n", r"[A-Z]{2}-\d+", 1.0),
        ("AB-12 or so", r"[A-Z]{2}-\d+", 0.0),
        ("ab-12", r"(?i)[A-Z]{2}-\d+", 1.0),
        ("x", "(", None),
        ("x", "a" * 1001, None),
        ("x" * 20_001, "x+", 0.0),
    ],
    ids=["matches", "whole-only", "flags", "no-pattern", "long-pattern", "long-output"],
)
def test_regex_matches_the_whole_stripped_output(
    output: str, pattern: str, value: float | None
) -> None:
    assert Regex().score(output, item(pattern)).value == value


def test_a_pattern_that_backtracks_without_end_leaves_the_answer_unscored() -> None:
    score = Regex(seconds=0.05).score("a" * 60, item("(a|aa)+$b"))

    assert score.value is None
    assert "took longer than 0.05 s" in score.explanation


@settings(deadline=None)
@given(text=TEXT)
def test_normalising_twice_changes_nothing(text: str) -> None:
    assert normalised(normalised(text)) == normalised(text)


@settings(deadline=None)
@given(text=TEXT.filter(lambda text: bool(text.strip())))
@pytest.mark.parametrize("scorer", [Exact(), F1()], ids=["exact", "f1"])
def test_a_target_given_as_answer_scores_one(scorer: Scorer, text: str) -> None:
    assert scorer.score(text, item(text)).value == 1.0


@settings(deadline=None)
@given(one=TEXT, other=TEXT)
def test_f1_is_symmetric_and_between_zero_and_one(one: str, other: str) -> None:
    assert token_f1(one, other) == token_f1(other, one)
    assert 0.0 <= token_f1(one, other) <= 1.0


@settings(deadline=None)
@given(
    number=st.one_of(
        st.integers(min_value=-(10**12), max_value=10**12),
        st.floats(allow_nan=False, allow_infinity=False, width=32),
    )
)
def test_any_written_number_is_read_back(number: float) -> None:
    assert last_number(f"The result is {number} kg.") == pytest.approx(number)
