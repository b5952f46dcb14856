"""Chroma's real server, over loopback: shared, started again when it dies, ended with its users."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from rag_adapt.core.errors import LockedError
from rag_adapt.retrieval import chroma_keeper
from rag_adapt.retrieval.build import build_collection
from rag_adapt.retrieval.check import check_collection
from rag_adapt.retrieval.chroma_server import (
    SERVER_FOLDER,
    ChromaServerIndex,
    IndexGoneError,
    is_kept,
    server_caches,
    wait_for_servers,
)
from rag_adapt.retrieval.collection import Collection
from rag_adapt.retrieval.exact import ExactIndex
from rag_adapt.retrieval.lock import writing
from rag_adapt.retrieval.record import Meta, Record
from rag_adapt.retrieval.removal import remove_collection
from tests.retrieval.fakes import CountingEmbedder, numbered_corpus

WAIT = 90.0
"""Seconds that anything here may take on a busy machine."""


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def meta_of(record: Record) -> Meta:
    meta = record.meta()
    assert meta is not None
    return meta


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("served")
    folder = place / "indexes" / "numbers"
    build_collection(folder, numbered_corpus(place / "source", 40), CountingEmbedder())
    return folder


@pytest.fixture(scope="module")
def record(folder: Path) -> Iterator[Record]:
    with closing(Record.read(folder)) as record:
        yield record


@pytest.fixture(scope="module")
def server(record: Record) -> Iterator[ChromaServerIndex]:
    """The one server of this module; this user keeps it alive."""
    with closing(ChromaServerIndex.open(record, meta_of(record))) as index:
        yield index
    wait_for_servers(record.path.parent, WAIT)


def place_of(folder: Path) -> Path:
    (place,) = server_caches(folder)
    return place


def told(folder: Path) -> dict[str, int]:
    import json

    found: dict[str, int] = json.loads((place_of(folder) / chroma_keeper.ADDRESS).read_text())
    return found


def test_it_finds_what_exact_search_finds(server: ChromaServerIndex, record: Record) -> None:
    chunks, matrix = record.matrix(meta_of(record))
    exact = ExactIndex(chunks=chunks, matrix=matrix)
    for vector in matrix[::7]:
        expected, found = exact.nearest(vector, 1), server.nearest(vector, 1)
        assert [hit.chunk for hit in found] == [hit.chunk for hit in expected]
        assert found[0].score == pytest.approx(expected[0].score, abs=1e-5)
    assert len(server.nearest(matrix[0], 500)) == 40


@pytest.mark.usefixtures("server")
def test_another_process_uses_the_same_server_while_one_writes(folder: Path) -> None:
    before = told(folder)
    script = (
        "import sys; from pathlib import Path\n"
        "from rag_adapt.retrieval.collection import Collection\n"
        "from tests.retrieval.fakes import CountingEmbedder\n"
        "with Collection.open(Path(sys.argv[1]), CountingEmbedder(), backend='chroma-server') as c:"
        "\n    print(c.search('Fact 7', 1, 'fused')[0].document)\n"
    )
    with writing(folder):
        done = subprocess.run(
            [sys.executable, "-c", script, str(folder)],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            text=True,
            timeout=WAIT,
            check=True,
        )
    assert done.stdout == "0007.md\n"
    assert told(folder) == before


@pytest.mark.usefixtures("server")
def test_a_large_collection_goes_to_the_server_where_another_holds_the_lock(folder: Path) -> None:
    opened = Collection.open(folder, CountingEmbedder(), exact_limit=2)
    with opened as collection, writing(folder):
        assert collection.search("Fact 7", 1, "fused")[0].document == "0007.md"
    assert not (folder / "chroma").exists()


def test_a_server_that_dies_is_started_again(
    server: ChromaServerIndex, record: Record, folder: Path
) -> None:
    vector = record.matrix(meta_of(record))[1][3]
    (expected,) = server.nearest(vector, 1)
    before = told(folder)
    os.kill(before["pid"], signal.SIGKILL)
    assert server.nearest(vector, 1) == (expected,)
    after = told(folder)
    assert after["pid"] != before["pid"]
    assert after["keeper"] == before["keeper"]


def test_a_keeper_that_dies_takes_the_server_along_and_both_come_back(
    server: ChromaServerIndex, record: Record, folder: Path
) -> None:
    vector = record.matrix(meta_of(record))[1][3]
    before = told(folder)
    os.kill(before["keeper"], signal.SIGKILL)
    until(lambda: not chroma_keeper.answers(before["port"]))
    assert len(server.nearest(vector, 2)) == 2
    assert told(folder)["keeper"] != before["keeper"]


def test_a_server_that_is_gone_in_the_middle_of_a_query_is_an_error_with_its_remedy(
    server: ChromaServerIndex, record: Record, folder: Path
) -> None:
    vector = record.matrix(meta_of(record))[1][3]
    with closing(ChromaServerIndex.open(record, meta_of(record), patience=0.0)) as hasty:
        hasty.nearest(vector, 1)
        os.kill(told(folder)["pid"], signal.SIGKILL)
        with pytest.raises(IndexGoneError, match="Chroma's server of collection 'numbers'") as gone:
            hasty.nearest(vector, 1)
    assert "--backend exact" in gone.value.hint
    assert (gone.value.status, gone.value.retryable) == (503, True)
    assert len(server.nearest(vector, 1)) == 1


@pytest.mark.usefixtures("server")
def test_a_collection_that_is_searched_through_it_is_not_removed(folder: Path) -> None:
    with pytest.raises(LockedError):
        wait_for_servers(folder, 0.0)


def test_its_files_are_audited(server: ChromaServerIndex, folder: Path) -> None:
    assert check_collection(folder) == []
    index = next((place_of(folder) / chroma_keeper.DATA).glob("*/header.bin"))
    whole = index.read_bytes()
    index.write_bytes(whole + b"?")
    (finding,) = check_collection(folder)
    index.write_bytes(whole)
    assert finding.subject == "chroma-server"
    assert "rag-adapt index rebuild numbers" in finding.remedy


def searched(folder: Path) -> Any:
    with Collection.open(folder, CountingEmbedder(), backend="chroma-server") as collection:
        return collection.search("Fact 7", 1, "fused")[0].document


def test_it_ends_with_its_last_user_and_goes_with_the_collection(tmp_path: Path) -> None:
    folder = tmp_path / "indexes" / "small"
    source = numbered_corpus(tmp_path / "source", 9)
    build_collection(folder, source, CountingEmbedder())
    assert searched(folder) == "0007.md"
    (old,) = server_caches(folder)
    until(lambda: not is_kept(old))
    shutil.rmtree(next((old / chroma_keeper.DATA).glob("*/")))
    assert searched(folder) == "0007.md"
    wait_for_servers(folder, WAIT)
    (source / "0007.md").unlink()
    build_collection(folder, source, CountingEmbedder())
    assert server_caches(folder) == []
    assert searched(folder) != "0007.md"
    wait_for_servers(folder, WAIT)
    assert (folder / SERVER_FOLDER).is_dir()
    remove_collection(tmp_path / "indexes", "small", home=tmp_path)
    assert not folder.exists()
