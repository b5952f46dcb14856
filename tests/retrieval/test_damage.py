"""Every damage is found by name, and mended from the record without embedding anything."""

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rag_adapt.core.errors import CollectionError, LockedError
from rag_adapt.retrieval.build import build_collection
from rag_adapt.retrieval.check import check_collection
from rag_adapt.retrieval.chroma import COMPLETE, DATABASE
from rag_adapt.retrieval.collection import Collection
from rag_adapt.retrieval.embed import CachedEmbedder
from rag_adapt.retrieval.lock import writing
from rag_adapt.retrieval.rebuild import rebuild_collection
from rag_adapt.retrieval.seal import Content, seal
from rag_adapt.retrieval.stamp import STAMP
from tests.retrieval.fakes import CountingEmbedder, numbered_corpus

FOLDER, SOURCE, CACHE = Path("indexes/manual"), Path("source"), Path("cache.db")
DOCUMENTS = 12


class OtherEmbedder(CountingEmbedder):
    """Other vectors under the same name."""

    def embed(self, texts: Any) -> Any:
        return np.roll(super().embed(texts), 7, axis=1)


@pytest.fixture
def embedder() -> CountingEmbedder:
    """What built the collection that every test here begins with; Chroma was used."""
    counting = CountingEmbedder()
    build_collection(
        FOLDER, numbered_corpus(SOURCE, DOCUMENTS), CachedEmbedder(counting, path=CACHE)
    )
    searched("chroma")
    counting.texts.clear()
    return counting


def searched(backend: Any = "exact") -> str:
    with Collection.open(FOLDER, CountingEmbedder(), backend=backend) as collection:
        return collection.search("Fact 7", 1, "fused")[0].document


def cache() -> Path:
    return next(FOLDER.glob(f"chroma/*/{COMPLETE}")).parent


def hnsw() -> Path:
    """The folder of Chroma's index."""
    return next(path for path in cache().iterdir() if path.is_dir())


def record(statement: str) -> None:
    with closing(sqlite3.connect(FOLDER / "record.db")) as connection:
        connection.execute(statement)
        connection.commit()


@contextmanager
def inside_chroma() -> Iterator[Any]:
    from chromadb import PersistentClient
    from chromadb.config import Settings

    client = PersistentClient(path=str(cache()), settings=Settings(anonymized_telemetry=False))
    try:
        yield client.get_collection("chunks", embedding_function=None)
    finally:
        client.close()


def emptied_files() -> None:
    for path in hnsw().iterdir():
        path.write_bytes(b"")


def seal_again() -> None:
    """As if the cache had been filled so."""
    told = json.loads((cache() / COMPLETE).read_text())
    seal(cache(), Content(**told["content"]), living=frozenset({DATABASE}))


def emptied_through_chroma() -> None:
    with inside_chroma() as chunks:
        chunks.delete(ids=chunks.get(include=[])["ids"])
    seal_again()


def flipped() -> None:
    path = hnsw() / "data_level0.bin"
    raw = bytearray(path.read_bytes())
    middle = len(raw) // 2
    raw[middle : middle + 200] = bytes(255 - each for each in raw[middle : middle + 200])
    path.write_bytes(raw)


def truncated() -> None:
    path = hnsw() / "data_level0.bin"
    path.write_bytes(path.read_bytes()[:-100])


def flipped_database() -> None:
    raw = bytearray((cache() / DATABASE).read_bytes())
    for page in range(1, len(raw) // 4096):
        raw[page * 4096 : page * 4096 + 200] = b"\xff" * 200
    (cache() / DATABASE).write_bytes(raw)


def stale_copy() -> None:
    """An older state of the cache under the name of the present one."""
    old = shutil.copytree(cache(), "old")
    (SOURCE / "0003.md").write_text("# Part 3\n\nAnother fact.")
    build_collection(FOLDER, SOURCE, CountingEmbedder())
    searched("chroma")
    place = cache()
    shutil.rmtree(place)
    shutil.copytree(old, place)


def stale_index_files() -> None:
    """The same, but of the index's files alone."""
    old = shutil.copytree(hnsw(), "old")
    (SOURCE / "0003.md").write_text("# Part 3\n\nAnother fact.")
    build_collection(FOLDER, SOURCE, CountingEmbedder())
    searched("chroma")
    shutil.copytree(old, hnsw(), dirs_exist_ok=True)


def other_vectors_in_chroma() -> None:
    with inside_chroma() as chunks:
        held = chunks.get(include=["embeddings"])
        chunks.update(ids=held["ids"], embeddings=np.roll(held["embeddings"], 7, axis=1))
    seal_again()


def orphans_in_chroma() -> None:
    with inside_chroma() as chunks:
        chunks.add(ids=["999"], embeddings=[np.eye(64)[0]])


def missing_in_chroma() -> None:
    with inside_chroma() as chunks:
        chunks.delete(ids=[chunks.get(include=[])["ids"][5]])


def older_record() -> None:
    backup = Path(shutil.copy(FOLDER / "record.db", "backup.db"))
    (SOURCE / "0003.md").write_text("# Part 3\n\nAnother fact.")
    build_collection(FOLDER, SOURCE, CountingEmbedder())
    searched("chroma")
    shutil.copy(backup, FOLDER / "record.db")


@dataclass(frozen=True, kw_only=True)
class Damage:
    """One way of doing harm, and what the audit says of it."""

    do: Callable[[], object]
    subject: str
    problem: str


DAMAGES = {
    "hnsw folder gone": Damage(
        do=lambda: shutil.rmtree(hnsw()), subject="chroma", problem="data_level0.bin' is gone"
    ),
    "hnsw metadata gone": Damage(
        do=lambda: (hnsw() / "index_metadata.pickle").unlink(),
        subject="chroma",
        problem="index_metadata.pickle' is gone",
    ),
    "index emptied": Damage(do=emptied_files, subject="chroma", problem="has 0 bytes, not"),
    "index emptied through chroma": Damage(
        do=emptied_through_chroma, subject="chroma", problem=f"it lacks {DOCUMENTS} chunks"
    ),
    "200 bytes flipped": Damage(
        do=flipped, subject="chroma", problem="has other bytes than it was made with"
    ),
    "truncated file": Damage(do=truncated, subject="chroma", problem=" bytes, not "),
    "stale copy of the folder": Damage(
        do=stale_copy, subject="chroma", problem="one of them was restored from a backup"
    ),
    "stale copy of the index": Damage(
        do=stale_index_files, subject="chroma", problem="has other bytes than it was made with"
    ),
    "vectors of another embedder in chroma": Damage(
        do=other_vectors_in_chroma, subject="chroma", problem="as those of another embedder"
    ),
    "orphan vectors in chroma": Damage(
        do=orphans_in_chroma, subject="chroma", problem="that the record has not: 999"
    ),
    "missing vectors in chroma": Damage(
        do=missing_in_chroma, subject="chroma", problem="it lacks 1 chunks"
    ),
    "chroma's own database gone": Damage(
        do=lambda: (cache() / DATABASE).unlink(),
        subject="chroma",
        problem="'chroma.sqlite3' is gone",
    ),
    "chroma's own database flipped": Damage(
        do=flipped_database, subject="chroma", problem="its database is damaged"
    ),
    "a seal without sense": Damage(
        do=lambda: (cache() / COMPLETE).write_text("[]"),
        subject="chroma",
        problem="no readable seal",
    ),
    "orphan vectors": Damage(
        do=lambda: record("INSERT INTO embeddings VALUES ('counting', 'lost', zeroblob(256))"),
        subject="vectors",
        problem="1 belong to no chunk",
    ),
    "missing vectors": Damage(
        do=lambda: record("DELETE FROM embeddings"), subject="vectors", problem="it has no vector"
    ),
    "fts emptied": Damage(
        do=lambda: record("INSERT INTO lexical(lexical) VALUES ('delete-all')"),
        subject="lexical",
        problem=f"it lacks {DOCUMENTS} of {DOCUMENTS} chunks",
    ),
    "fts with a chunk too many": Damage(
        do=lambda: record("INSERT INTO lexical(rowid, text) VALUES (999, 'lost')"),
        subject="lexical",
        problem="it has 1 chunks that the record has not",
    ),
    "record restored from an older backup": Damage(
        do=older_record, subject="record", problem="it was restored from an older backup"
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_it_is_found_named_and_mended_without_embedding(
    name: str, embedder: CountingEmbedder
) -> None:
    assert check_collection(FOLDER) == []
    damage = DAMAGES[name]
    damage.do()
    embedder.texts.clear()
    found = check_collection(FOLDER)
    matching = [
        each for each in found if each.subject == damage.subject and damage.problem in each.problem
    ]
    assert matching, found
    assert all("`rag-adapt index rebuild manual`" in each.remedy for each in found)
    assert rebuild_collection(FOLDER, remembered=CACHE).left == ()
    assert check_collection(FOLDER) == []
    assert searched() == searched("chroma") == "0007.md"
    assert check_collection(FOLDER, CountingEmbedder()) == []
    assert embedder.texts == []


@pytest.mark.parametrize(
    "name",
    [
        "hnsw folder gone",
        "hnsw metadata gone",
        "index emptied",
        "200 bytes flipped",
        "truncated file",
        "stale copy of the folder",
        "chroma's own database gone",
        "chroma's own database flipped",
    ],
)
def test_a_search_fills_a_damaged_cache_anew_by_itself(
    name: str, embedder: CountingEmbedder
) -> None:
    DAMAGES[name].do()
    embedder.texts.clear()
    assert searched("chroma") == "0007.md"
    assert check_collection(FOLDER) == []
    assert embedder.texts == []


def test_vectors_of_another_embedder_in_the_record_are_found_by_asking_ours(
    embedder: CountingEmbedder,
) -> None:
    shutil.rmtree(FOLDER)
    build_collection(FOLDER, SOURCE, OtherEmbedder())
    assert check_collection(FOLDER) == []
    [finding] = check_collection(FOLDER, embedder)
    assert finding.subject == "vectors"
    assert "are another embedder's" in finding.problem
    assert "rag-adapt index build manual DIR" in finding.remedy
    [finding] = check_collection(FOLDER, CountingEmbedder("newer"))
    assert "made with weights counting ('counting'), not with newer" in finding.problem


def test_what_nobody_remembers_needs_a_build_and_the_rebuild_says_so(
    embedder: CountingEmbedder,
) -> None:
    record("DELETE FROM embeddings WHERE text_hash = (SELECT text_hash FROM chunks LIMIT 1)")
    rebuilt = rebuild_collection(FOLDER)
    assert (rebuilt.vectors, rebuilt.chroma) == (0, False)
    assert ["it has no vector" in each.problem for each in rebuilt.left] == [True]
    assert "rag-adapt index build manual DIR" in rebuilt.left[0].remedy
    assert build_collection(FOLDER, SOURCE, embedder).embedded == 1
    assert check_collection(FOLDER) == []


def test_a_rebuild_tells_what_it_restored(embedder: CountingEmbedder) -> None:
    record("UPDATE embeddings SET vector = x'00'")
    rebuilt = rebuild_collection(FOLDER, remembered=CACHE)
    assert (rebuilt.chunks, rebuilt.vectors, rebuilt.dropped) == (DOCUMENTS, DOCUMENTS, DOCUMENTS)
    assert rebuilt.chroma is True


def test_a_rebuild_makes_no_chroma_that_was_not_there(embedder: CountingEmbedder) -> None:
    shutil.rmtree(FOLDER / "chroma")
    assert rebuild_collection(FOLDER).chroma is False
    assert not (FOLDER / "chroma").exists()


def test_a_rebuild_is_refused_where_there_is_nothing_or_somebody_writes() -> None:
    with pytest.raises(CollectionError, match="there is no collection"):
        rebuild_collection(FOLDER)
    build_collection(FOLDER, numbered_corpus(SOURCE, 1), CountingEmbedder())
    with writing(FOLDER), pytest.raises(LockedError):
        rebuild_collection(FOLDER)


@pytest.mark.parametrize("text", ["", "[]", '{"generation": 1}'])
def test_a_stamp_that_says_nothing_is_no_fault(text: str, embedder: CountingEmbedder) -> None:
    (FOLDER / STAMP).write_text(text)
    assert check_collection(FOLDER) == []
