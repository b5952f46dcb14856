"""Foreign text stays text in markup, in JSON and in spreadsheets."""

import json
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_adapt.bench.page.markup import (
    KEPT,
    SHOWN,
    Html,
    csv_address,
    el,
    foreign,
    json_text,
    table,
    text_columns,
)


@given(st.text())
def test_no_text_makes_an_element(text: str) -> None:
    inner = el("p", text).removeprefix("<p>").removesuffix("</p>")
    assert "<" not in inner.replace('<span class="hidden-character">', "").replace("</span>", "")


def test_children_are_escaped_unless_they_are_markup() -> None:
    assert el("p", "a < b & c", Html("<b>x</b>"), None, 3) == "<p>a &lt; b &amp; c<b>x</b>3</p>"


def test_attributes_are_quoted_and_switched() -> None:
    assert el("a", class_='x"y', data_a="1", hidden=True, open=False) == (
        '<a class="x&quot;y" data-a="1" hidden></a>'
    )
    assert el("br") == "<br>"


@pytest.mark.parametrize("char", ["\u202e", "\u2028", "\x00", "\x1b", "\u200f", "\ud800", "\ufeff"])
def test_characters_that_hide_or_reorder_are_shown_by_number(char: str) -> None:
    assert f"U+{ord(char):04X}" in el("p", f"a{char}b")
    assert char not in el("p", f"a{char}b")


@pytest.mark.parametrize("text", ["a\nb\tc", "naïve 日本語", "👩\u200d🔬", "می\u200cخواهم"])
def test_honest_writing_is_left_as_it_is(text: str) -> None:
    assert el("p", text) == f"<p>{text}</p>"


def test_long_texts_are_cut_visibly_with_what_is_kept_in_a_fold() -> None:
    short, middle, long = foreign("x" * SHOWN), foreign("x" * (SHOWN + 1)), foreign("x" * 100_000)
    assert "cut" not in short
    assert "all 241 characters" in middle
    assert f"{KEPT:,} of 100,000 characters" in long
    assert len(long) < KEPT + SHOWN + 500
    assert "no answer" in foreign(None)
    assert "empty" in foreign("")


@given(st.dictionaries(st.text(), st.text()))
def test_json_survives_and_cannot_end_its_script(value: dict[str, str]) -> None:
    text = json_text(value)
    assert json.loads(text) == value
    assert text.isascii()
    assert not set("<>&") & set(text)


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@x", "\t=1", " =1", "\r=1"])
def test_spreadsheet_formulas_are_defused(cell: str) -> None:
    text = unquote(csv_address(["a"], [[cell]]).split(",", 1)[1])
    assert text.split("\n")[1].lstrip('"').startswith("'")


def test_numbers_and_nothing_stay_plain_in_a_spreadsheet() -> None:
    assert unquote(csv_address(["a", "b"], [[-0.5, None]])).endswith("a,b\n-0.5,\n")


def test_a_table_scrolls_in_a_named_box_that_a_keyboard_reaches() -> None:
    found = table("Things & more", text_columns("a", "b"), [["x", "<y>"]])
    assert '<div class="scroll" tabindex="0" role="region" aria-label="Things &amp; more">' in found
    assert '<th scope="row">x</th><td data-title="b">&lt;y&gt;</td>' in found
