"""Building collections, also when something comes between."""

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from rag_adapt.core.errors import CollectionError, LockedError
from rag_adapt.retrieval.build import BATCH, build_collection
from rag_adapt.retrieval.check import check_collection
from rag_adapt.retrieval.collection import Collection
from rag_adapt.retrieval.lock import writing
from tests.retrieval.fakes import CountingEmbedder, numbered_corpus, write_corpus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rag_adapt.retrieval.protocols import Vectors

KILLED = """
import sys, time
from pathlib import Path
from rag_adapt.retrieval.build import build_collection
from tests.retrieval.fakes import CountingEmbedder

class Slow(CountingEmbedder):
    def embed(self, texts):
        if self.texts:
            print("\\n".join(self.texts).replace("\\n\\n", "|"), end="", flush=True)
            print(flush=True)
            print("END", flush=True)
            time.sleep(60)
        return super().embed(texts)

build_collection(Path(sys.argv[1]), Path(sys.argv[2]), Slow())
"""


class Stages:
    def __init__(self) -> None:
        self.seen: list[tuple[str, int, int]] = []

    def update(self, stage: str, done: int, total: int, note: str = "") -> None:
        self.seen.append((stage, done, total))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_corpus(tmp_path / "source")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "indexes" / "manual"


def kill_in_the_middle(folder: Path, source: Path) -> int:
    """Kill a build after its first batch was committed; how many texts that was."""
    root = Path(__file__).parents[2]
    build = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(folder), str(source)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert build.stdout is not None
    lines = list(iter(build.stdout.readline, "END\n"))
    build.send_signal(signal.SIGKILL)
    build.wait()
    build.stdout.close()
    return len(lines)


def test_a_build_counts_what_it_made(folder: Path, source: Path) -> None:
    write_corpus(source, {"bad.md": b"\0"})
    stages = Stages()
    report = build_collection(folder, source, CountingEmbedder(), progress=stages)
    assert (report.documents, report.chunks, report.embedded) == (3, 4, 4)
    assert [failed.path for failed in report.failed] == ["bad.md"]
    assert report.bytes > 0
    assert stages.seen[3] == ("parsing", 4, 4)
    assert stages.seen[-1] == ("embedding", 4, 4)
    assert check_collection(folder) == []


def test_the_second_build_of_the_same_documents_does_nothing(folder: Path, source: Path) -> None:
    first = build_collection(folder, source, CountingEmbedder())
    counting = CountingEmbedder()
    second = build_collection(folder, source, counting)
    assert second.unchanged
    assert second.content_hash == first.content_hash
    assert counting.texts == []


def test_changed_documents_are_put_in_place_and_only_they_are_embedded(
    folder: Path, source: Path
) -> None:
    build_collection(folder, source, CountingEmbedder())
    (source / "warranty.txt").write_text("The warranty lasts nine years.\n")
    (source / "filling.md").unlink()
    counting = CountingEmbedder()
    report = build_collection(folder, source, counting)
    assert counting.texts == ["The warranty lasts nine years."]
    assert not report.unchanged
    with Collection.open(folder, counting) as collection:
        assert collection.documents() == ("care/cleaning.md", "warranty.txt")
        assert collection.info().generation == 2
        assert collection.search("litres", 5, "lexical") == ()
    assert b"1.7 litres" not in (folder / "record.db").read_bytes()


def test_other_chunks_or_weights_make_another_collection(folder: Path, source: Path) -> None:
    hashes = {
        build_collection(
            folder, source, CountingEmbedder(weights), chunk_tokens=tokens
        ).content_hash
        for weights, tokens in [("one", 120), ("one", 5), ("two", 5)]
    }
    assert len(hashes) == 3
    assert check_collection(folder) == []


def test_the_hash_does_not_depend_on_the_place(tmp_path: Path, source: Path) -> None:
    one = build_collection(tmp_path / "one", source, CountingEmbedder())
    two = build_collection(tmp_path / "two", write_corpus(tmp_path / "s2"), CountingEmbedder())
    assert one.content_hash == two.content_hash


def test_a_newly_failing_file_is_noted_though_nothing_else_changed(
    folder: Path, source: Path
) -> None:
    build_collection(folder, source, CountingEmbedder())
    write_corpus(source, {"bad.md": b"\0"})
    assert not build_collection(folder, source, CountingEmbedder()).unchanged
    with Collection.open(folder) as collection:
        assert collection.info().failed == 1


def test_a_killed_build_shows_nothing_and_goes_on_without_embedding_twice(
    folder: Path, tmp_path: Path
) -> None:
    source = numbered_corpus(tmp_path / "many", BATCH + 10)
    assert kill_in_the_middle(folder, source) == BATCH
    with pytest.raises(CollectionError, match="not finished"):
        Collection.open(folder)
    counting = CountingEmbedder()
    report = build_collection(folder, source, counting)
    assert (report.embedded, len(counting.texts)) == (10, 10)
    assert check_collection(folder) == []


def test_readers_keep_the_old_collection_while_a_killed_rebuild_lies_there(
    folder: Path, source: Path, tmp_path: Path
) -> None:
    build_collection(folder, source, CountingEmbedder())
    kill_in_the_middle(folder, numbered_corpus(tmp_path / "many", BATCH + 10))
    assert check_collection(folder) == []
    with Collection.open(folder, CountingEmbedder()) as collection:
        assert collection.search("litres", 1)[0].document == "filling.md"


def test_an_open_reader_sees_one_collection_to_the_end(folder: Path, source: Path) -> None:
    build_collection(folder, source, CountingEmbedder())
    with Collection.open(folder, CountingEmbedder()) as collection:
        (source / "filling.md").write_text("Replaced.")
        build_collection(folder, source, CountingEmbedder())
        assert collection.search("litres", 1, "dense")[0].text.endswith("1.7 litres of water.")
    with Collection.open(folder, CountingEmbedder()) as collection:
        assert collection.text("filling.md") == "Replaced."


def test_a_second_writer_is_refused_while_a_reader_works(folder: Path, source: Path) -> None:
    build_collection(folder, source, CountingEmbedder())
    with writing(folder):
        with pytest.raises(LockedError):
            build_collection(folder, source, CountingEmbedder())
        with Collection.open(folder, CountingEmbedder()) as collection:
            assert len(collection.search("kettle", 2)) == 2


def test_a_damaged_record_is_refused_with_the_command_that_mends_it(
    folder: Path, source: Path
) -> None:
    folder.mkdir(parents=True)
    (folder / "record.db").write_bytes(b"not a database" * 1000)
    for open_it in (
        lambda: build_collection(folder, source, CountingEmbedder()),
        lambda: Collection.open(folder),
    ):
        with pytest.raises(CollectionError, match="is damaged") as caught:
            open_it()
        assert "rag-adapt index build" in caught.value.hint


def test_a_record_out_of_step_with_itself_is_written_again(folder: Path, source: Path) -> None:
    build_collection(folder, source, CountingEmbedder())
    connection = sqlite3.connect(folder / "record.db")
    connection.execute("INSERT INTO lexical(lexical) VALUES ('delete-all')")
    connection.commit()
    connection.close()
    assert not build_collection(folder, source, CountingEmbedder()).unchanged
    assert check_collection(folder) == []


def test_an_empty_corpus_makes_no_collection(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(CollectionError, match="no usable document"):
        build_collection(folder, tmp_path / "empty", CountingEmbedder())
    assert not (folder / "record.db").exists()


def test_a_corpus_that_is_missing_makes_no_folder(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CollectionError, match="is not a folder"):
        build_collection(folder, tmp_path / "missing", CountingEmbedder())
    assert not folder.exists()


@pytest.mark.parametrize(
    "factor", [pytest.param(2.0, id="too long"), pytest.param(float("nan"), id="not a number")]
)
def test_vectors_that_are_not_normalised_are_refused(
    folder: Path, source: Path, factor: float
) -> None:
    class Wrong(CountingEmbedder):
        def embed(self, texts: "Sequence[str]") -> "Vectors":
            return super().embed(texts) * np.float32(factor)

    with pytest.raises(CollectionError, match="not normalised"):
        build_collection(folder, source, Wrong())
