"""Documents taken apart: sections, blocks, sentences and pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_adapt.adapters.corpus_text import (
    Block,
    Section,
    blocks,
    pieces,
    plain,
    sections,
    sentences,
)

PAGE = """Before any title.

# Lamp: Care

## Cleaning ##

Use a *dry* cloth.
Never water.

```
# not a title
```

## Empty

### Bulbs

- one
"""


def test_sections_have_the_titles_above_them_and_no_title_lines() -> None:
    found = list(sections(PAGE))

    assert [section.headings for section in found] == [
        (),
        ("Lamp: Care", "Cleaning"),
        ("Lamp: Care", "Empty", "Bulbs"),
    ]
    assert found[0].text == "Before any title."
    assert found[1].text.endswith("# not a title\n```")
    assert found[1].path == "Lamp: Care > Cleaning"


def test_a_title_names_a_thing_only_before_a_colon() -> None:
    named, whole, none = (
        Section(headings=headings, text="x")
        for headings in (("Lamp: Care",), ("Care of lamps",), ())
    )

    assert (named.subject, named.is_about_a_thing) == ("Lamp", True)
    assert (whole.subject, whole.is_about_a_thing) == ("Care of lamps", False)
    assert (none.subject, none.is_about_a_thing, none.path) == ("", False, "")


def test_blocks_are_paragraphs_items_tables_and_code() -> None:
    text = """One line
and the next.
- an item
  that goes on
2. a numbered one

| a | b |
|---|---|
| 1 | 2 |
***
~~~ini
port = 80

host = x
~~~
The end."""

    assert list(blocks(text)) == [
        Block(kind="paragraph", text="One line and the next."),
        Block(kind="item", text="an item that goes on"),
        Block(kind="item", text="a numbered one"),
        Block(kind="table", text="| a | b |\n|---|---|\n| 1 | 2 |"),
        Block(kind="code", text="port = 80\n\nhost = x"),
        Block(kind="paragraph", text="The end."),
    ]


def test_code_that_is_never_closed_reaches_to_the_end() -> None:
    assert list(blocks("```\na: 1")) == [Block(kind="code", text="a: 1")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("It takes 2.5 ml, e.g. in spring.", ["It takes 2.5 ml, e.g. in spring."]),
        ('He said "stop." Then **Go.** Now.', ['He said "stop."', "Then **Go.**", "Now."]),
        ("灯は青い。もう一つ。", ["灯は青い。", "もう一つ。"]),
        ("no end", ["no end"]),
    ],
)
def test_sentences_end_where_a_reader_ends_them(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


def test_marks_of_emphasis_go_and_names_with_underscores_stay() -> None:
    assert plain("**Use** the *dry* `snake_case` key, 3 * 4") == "Use the dry snake_case key, 3  4"


@given(
    text=st.lists(st.sampled_from(["word", "end.", "Next", "\n", "\n\n", "longerword"])).map(
        " ".join
    ),
    most=st.integers(10, 60),
)
def test_pieces_are_bounded_and_lose_no_word(text: str, most: int) -> None:
    found = list(pieces(text.strip(), most=most))

    assert " ".join(found).split() == text.split()
    assert all(len(piece) <= most for piece in found)
