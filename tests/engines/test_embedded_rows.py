"""Text as it streams, and the choice of tokens."""

from collections.abc import Sequence

import pytest
import torch

from rag_adapt.core.types import Sampling
from rag_adapt.engines.embedded_rows import Row, TextStream, nucleus

END = 256


def decode(tokens: Sequence[int]) -> str:
    """One token per byte; the end token has no text."""
    return bytes(token for token in tokens if token != END).decode(errors="replace")


def row(text: bytes, **sampling: object) -> tuple[Row, list[str]]:
    """A row that was given the bytes of a text, with the pieces it showed."""
    made = Row(
        Sampling(**{"max_tokens": 100, **sampling}),  # type: ignore[arg-type]
        repeat=0,
        stop_ids=(END,),
        decode=decode,
        device="cpu",
    )
    pieces = []
    for token in (*text, END):
        pieces.append(made.push(token))
        if made.finish:
            break
    return made, pieces


def test_no_piece_ends_inside_a_character() -> None:
    made, pieces = row("aé€😀".encode())
    assert "".join(pieces) == made.stream.text == "aé€😀"
    assert "\ufffd" not in "".join(pieces)


def test_incomplete_bytes_are_shown_at_the_end() -> None:
    made, pieces = row(b"a\xe2\x82")
    assert "".join(pieces) == made.stream.text == decode(b"a\xe2\x82")


def test_no_piece_shows_a_part_of_a_stop_string() -> None:
    made, pieces = row(b"ab##c#END and more", stop=("##END", "#END"))
    shown = ""
    for piece in pieces:
        shown += piece
        assert "ab##c".startswith(shown)
    assert made.stream.text == shown == "ab##c"
    assert made.finish == "stop"


def test_the_first_of_several_stop_strings_ends_the_answer() -> None:
    made, _ = row("one\u00e9two".encode(), stop=("two", "\u00e9t"))
    assert made.stream.text == "one"


def test_a_stop_string_that_never_completes_is_shown() -> None:
    made, pieces = row(b"ab#", stop=("##",))
    assert "".join(pieces) == made.stream.text == "ab#"
    assert made.finish == "stop"


def test_a_stop_string_in_the_last_bytes_counts() -> None:
    made, _ = row(b"ab#", stop=("#",), max_tokens=3)
    assert made.stream.text == "ab"
    assert made.finish == "stop"


def test_the_bound_on_tokens_ends_an_answer_with_its_rest() -> None:
    made, pieces = row(b"abcdef", max_tokens=3, stop=("cd",))
    assert "".join(pieces) == "abc"
    assert made.finish == "length"
    assert len(made.produced) == 3


def test_an_empty_stop_string_stops_nothing() -> None:
    stream = TextStream(decode, ("",))
    assert stream.push(ord("a")) == "a"
    assert not stream.stopped


@pytest.mark.parametrize(("top_p", "kept"), [(0.5, 1), (0.51, 2), (0.8, 2), (0.81, 3), (0.0, 1)])
def test_the_nucleus_keeps_the_fewest_tokens_that_reach_top_p(top_p: float, kept: int) -> None:
    chances = torch.tensor([0.2, 0.5, 0.3])
    left = nucleus(chances, top_p)
    assert int((left > 0).sum()) == kept
    assert left[1] == chances[1]


def test_a_narrow_nucleus_draws_the_most_likely_token() -> None:
    made = Row(
        Sampling(temperature=5.0, top_p=0.01),
        repeat=0,
        stop_ids=(END,),
        decode=decode,
        device="cpu",
    )
    assert not made.greedy
    assert {made.draw(torch.tensor([0.0, 3.0, 1.0])) for _ in range(20)} == {1}
