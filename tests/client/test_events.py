"""Server-sent events out of bytes, wherever these are cut."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_adapt.client.connection import Connection, Request
from rag_adapt.client.errors import ApiError
from rag_adapt.client.events import LONGEST, Event, Parser, Wire
from rag_adapt.engines.scripted import ScriptedEngine
from tests.api.parts import ADDRESS, app_of, listening
from tests.client.parts import Played, cut
from tests.serving.parts import service

STREAM = (
    ": a comment\n\n"
    'data: {"a": "ä"}\nevent: delta\nid: 7\n\n'
    "data: one\r\ndata: two\r\n\r\n"
    "event: nothing\n\n"
    "retry: 5\ndata:no space\nunknown\n\n"
    "id: \0\ndata: [DONE]\nevent: done\n\n"
    "data: never ended"
).encode()
EVENTS = [
    Event(data='{"a": "ä"}', name="delta", id="7"),
    Event(data="one\ntwo", id="7"),
    Event(data="no space", id="7"),
    Event(data="[DONE]", name="done", id="7"),
]


def events(pieces: Sequence[bytes]) -> list[Event]:
    parser = Parser()
    return [event for piece in pieces for event in parser.feed(piece)]


def test_events_have_data_names_and_places() -> None:
    assert events([STREAM]) == EVENTS


@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_it_does_not_matter_where_bytes_are_cut(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[a:b] for a, b in pairwise(places)]
    assert events(pieces) == EVENTS


@pytest.mark.parametrize("piece", [b"data: " + b"x" * 99_999 + b"\n", b"x" * 100_000])
def test_an_event_without_end_is_given_up_in_bounded_memory(piece: bytes) -> None:
    parser = Parser()
    fed = 0
    with pytest.raises(ApiError) as refused:  # noqa: PT012 - it is fed until it refuses
        while fed < 2 * LONGEST:
            fed += len(piece)
            list(parser.feed(piece))
    assert refused.value.code == "too-large"
    assert fed <= LONGEST + len(piece)


def test_who_hangs_up_before_it_has_connected_hears_nothing() -> None:
    with listening(app_of(service(ScriptedEngine()))) as url:
        wire = Wire(Connection(url), Request(path="/healthz"))
        wire.hang_up()
        assert list(wire.events()) == []


def test_who_hangs_up_between_two_pieces_hears_no_more() -> None:
    played = Played([cut("data: 1\n\n", "data: 2\n\n")])
    wire = Wire(Connection(ADDRESS, transport=played), Request(path="/events"))
    events = wire.events()
    assert next(events).data == "1"
    wire.hang_up()
    wire.hang_up()
    assert list(events) == []
