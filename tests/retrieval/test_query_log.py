"""Questions are kept where that was asked for, bounded, and never stop a search."""

from pathlib import Path

import pytest

from rag_adapt.core.types import Passage
from rag_adapt.retrieval import query_log
from rag_adapt.retrieval.build import build_collection
from rag_adapt.retrieval.collection import Collection
from tests.retrieval.fakes import CountingEmbedder, write_corpus

HIT = Passage(document="a.md", start=3, end=9, text="secret", score=0.5)


@pytest.fixture
def folder() -> Path:
    folder = Path("indexes/manual")
    build_collection(folder, write_corpus(Path("source")), CountingEmbedder())
    return folder


def test_nothing_is_kept_until_it_is_switched_on_and_all_forgotten_when_off(folder: Path) -> None:
    with Collection.open(folder, CountingEmbedder()) as collection:
        collection.search("before", 1)
        assert query_log.asked(folder) == []
        query_log.switch_on(folder)
        (hit,) = collection.search("how much water", 1, "lexical")
        (kept,) = query_log.asked(folder)
    assert (kept["query"], kept["mode"]) == ("how much water", "lexical")
    assert kept["hits"] == [[hit.document, hit.start, hit.end]]
    assert kept["time"] > 1_700_000_000
    assert (folder / query_log.QUERY_LOG).stat().st_mode & 0o777 == 0o600
    query_log.switch_off(folder)
    assert query_log.asked(folder) == []
    query_log.switch_off(folder)


def test_it_holds_places_and_no_texts(folder: Path) -> None:
    query_log.switch_on(folder)
    query_log.note(folder, "q" * 9_000, "fused", [HIT])
    raw = (folder / query_log.QUERY_LOG).read_text()
    assert "secret" not in raw
    assert len(raw) < 3_000


def test_the_older_half_goes_where_it_grows_too_long(folder: Path) -> None:
    query_log.switch_on(folder)
    old = f'{{"query": "{"x" * 990}"}}\n' * 1_000
    (folder / query_log.QUERY_LOG).write_text(old)
    query_log.note(folder, "the last", "fused", [HIT])
    path = folder / query_log.QUERY_LOG
    assert path.stat().st_size < query_log.LARGEST * 0.6
    assert path.stat().st_mode & 0o777 == 0o600
    assert query_log.asked(folder)[-1]["query"] == "the last"


def test_a_line_that_was_cut_off_is_left_out_and_a_log_out_of_reach_stops_nothing(
    folder: Path,
) -> None:
    path = folder / query_log.QUERY_LOG
    path.write_text('{"query": "one"}\n{"que')
    assert query_log.asked(folder) == [{"query": "one"}]
    path.unlink()
    path.symlink_to("/proc/version")
    query_log.note(folder, "the last", "fused", [HIT])
