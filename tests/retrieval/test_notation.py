"""What a text says of its units."""

import pytest

from rag_adapt.core.errors import CollectionError
from rag_adapt.retrieval.linking.notation import unmarked
from rag_adapt.retrieval.linking.registry import level_numbers, link_kinds
from rag_adapt.retrieval.parsers.kinds import KINDS, parse_bytes
from rag_adapt.retrieval.parsers.parsed import Parsed, UnusableError


def read(text: str) -> Parsed:
    return parse_bytes(KINDS[".md"], text.encode())


def about(parsed: Parsed) -> list[tuple[str, str, str]]:
    """Each remark with the word that it is about."""
    return [
        (remark.kind, remark.value, parsed.text[: remark.position + 1].split()[-1][:1])
        for remark in parsed.remarks
    ]


@pytest.mark.parametrize(
    ("text", "left", "said"),
    [
        pytest.param("a <<connects_to: U_1>>\n", "a\n", [("connects_to", "U_1", "a")], id="after"),
        pytest.param("<<unit: U-1>> bee c", "bee c", [("unit", "U-1", "b")], id="before"),
        pytest.param("a\n<<level: 2>>\nb\n", "a\nb\n", [("level", "2", "a")], id="line below"),
        pytest.param("a\n\n<<LEVEL:2>>\nb\n", "a\n\nb\n", [("level", "2", "b")], id="line above"),
        pytest.param("a\n\n<<unit: z>>", "a\n\n", [("unit", "z", "a")], id="nothing follows"),
        pytest.param(
            "a b <<same_level_as: x, y>> c.",
            "a b c.",
            [("same_level_as", "x", "b"), ("same_level_as", "y", "b")],
            id="several names",
        ),
        pytest.param(
            "<<unit: a>> <<level: 1>> bee",
            "bee",
            [("unit", "a", "b"), ("level", "1", "b")],
            id="two marks",
        ),
        pytest.param("x <<level: 5>> <<b>> c << 2", "x <<level: 5>> <<b>> c << 2", [], id="others"),
        pytest.param(
            "```\n<<unit: a>>\n```\n", "```\n<<unit: a>>\n```\n", [], id="code is left alone"
        ),
    ],
)
def test_marks_are_read_and_taken_out(
    text: str, left: str, said: list[tuple[str, str, str]]
) -> None:
    parsed = read(text)
    assert parsed.text == left
    assert about(parsed) == said
    assert len(parsed.notes) == bool(said)


def test_pages_begin_where_they_did() -> None:
    text = "<<unit: a>> one\n<<level: 2>>\n\ntwo <<connects_to: a>> three"
    left = unmarked(text)
    assert left.text[left.moved(text.index("two")) :] == "two three"
    assert left.moved(len(text)) == len(left.text)


def test_a_text_of_nothing_but_marks_is_left_out() -> None:
    with pytest.raises(UnusableError, match="nothing but marks"):
        read("<<unit: a>>\n<<level: 2>>\n")


def test_marks_travel_between_processes() -> None:
    parsed = read("a <<connects_to: b>>")
    assert Parsed.from_json(parsed.as_json()) == parsed


def test_kinds_and_levels_are_read_as_they_are_written() -> None:
    assert link_kinds(" meaning,given ") == ("given", "meaning")
    assert link_kinds("none") == link_kinds("") == ()
    assert link_kinds("all") == ("given", "headings", "citation", "terms", "meaning")
    assert level_numbers("3, 1") == (1, 3)
    with pytest.raises(CollectionError, match="no links of kind 'friends'"):
        link_kinds("friends")
    with pytest.raises(CollectionError, match="no level '7'"):
        level_numbers("1,7")
