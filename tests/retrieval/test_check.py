"""The audit finds every kind of damage that can be made by hand."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from rag_adapt.core.errors import CollectionError
from rag_adapt.retrieval.build import build_collection
from rag_adapt.retrieval.check import check_collection
from rag_adapt.retrieval.collection import Collection
from rag_adapt.retrieval.patch import GAP
from tests.retrieval.fakes import CountingEmbedder, write_corpus

THIRD, FOURTH = 3 + GAP, 4 + 2 * GAP
"""Numbers of the chunks of the second and third document."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "indexes" / "manual"
    build_collection(folder, write_corpus(tmp_path / "source"), CountingEmbedder())
    return folder


def change(folder: Path, *statements: str) -> None:
    connection = sqlite3.connect(folder / "record.db")
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def use_chroma(folder: Path) -> None:
    with Collection.open(folder, CountingEmbedder(), backend="chroma") as collection:
        collection.search("kettle", 1, "dense")


def found(folder: Path) -> list[tuple[str, str]]:
    return [(each.subject, each.problem) for each in check_collection(folder)]


def test_a_sound_collection_has_no_findings(folder: Path) -> None:
    use_chroma(folder)
    assert check_collection(folder) == []


@pytest.mark.parametrize(
    ("statement", "subject", "problem"),
    [
        pytest.param(
            "UPDATE documents SET text = replace(text, 'three', 'seven')",
            "warranty.txt",
            "does not have the recorded SHA-256",
            id="changed text",
        ),
        pytest.param(
            f"UPDATE chunks SET end = 900 WHERE id = {FOURTH}",
            f"chunk {FOURTH}",
            "leaves the document",
            id="span",
        ),
        pytest.param(
            f"UPDATE chunks SET start = 3 WHERE id = {FOURTH}",
            f"chunk {FOURTH}",
            "not the text",
            id="moved span",
        ),
        pytest.param(
            "DELETE FROM embeddings WHERE text_hash = (SELECT text_hash FROM chunks WHERE id = 2)",
            "chunk 2",
            "has no vector",
            id="no vector",
        ),
        pytest.param(
            "UPDATE embeddings SET vector = x'00000000' WHERE text_hash = "
            "(SELECT text_hash FROM chunks WHERE id = 1)",
            "chunk 1",
            "has 4 bytes, not 256",
            id="short vector",
        ),
        pytest.param(
            "UPDATE embeddings SET vector = zeroblob(256) WHERE text_hash = "
            f"(SELECT text_hash FROM chunks WHERE id = {THIRD})",
            f"chunk {THIRD}",
            "not normalised",
            id="zero vector",
        ),
        pytest.param(
            "INSERT INTO lexical(lexical) VALUES ('delete-all')", "lexical", "0 chunks", id="words"
        ),
        pytest.param(
            f"UPDATE chunks SET document = 99 WHERE id = {FOURTH}",
            "record",
            "belong to no",
            id="orphan",
        ),
    ],
)
def test_damage_is_found_and_named(
    folder: Path, statement: str, subject: str, problem: str
) -> None:
    change(folder, statement)
    findings = check_collection(folder)
    assert any(each.subject == subject and problem in each.problem for each in findings)
    assert all("rag-adapt index build manual DIR" in each.remedy for each in findings)


def test_words_of_another_chunk_are_found_out(folder: Path) -> None:
    change(
        folder,
        "INSERT INTO lexical(lexical) VALUES ('delete-all')",
        *(f"INSERT INTO lexical(rowid, text) VALUES ({n}, 'else')" for n in range(1, 5)),
    )
    assert ("lexical", "it does not find chunk 1 by its own words") in found(folder)


def test_a_file_that_is_no_database_is_a_finding(folder: Path) -> None:
    (folder / "record.db").write_bytes(b"no database" * 1000)
    [(subject, problem)] = found(folder)
    assert (subject, "is damaged" in problem) == ("record", True)


def test_pages_overwritten_in_the_middle_are_findings(folder: Path) -> None:
    raw = bytearray((folder / "record.db").read_bytes())
    for page in range(2, len(raw) // 4096):
        raw[page * 4096 : page * 4096 + 100] = b"\xff" * 100
    (folder / "record.db").write_bytes(raw)
    assert found(folder)[0][0] == "record"


def test_a_chroma_cache_that_lost_chunks_is_found_out(folder: Path) -> None:
    from chromadb import PersistentClient
    from chromadb.config import Settings

    use_chroma(folder)
    place = next(folder.glob("chroma/*"))
    client = PersistentClient(path=str(place), settings=Settings(anonymized_telemetry=False))
    client.get_collection("chunks", embedding_function=None).delete(ids=[str(FOURTH)])
    client.close()
    findings = check_collection(folder)
    assert ["lacks 1 chunks" in each.problem for each in findings] == [True]
    assert "rm -r" in findings[0].remedy


def test_a_chroma_cache_with_other_vectors_is_found_out(folder: Path) -> None:
    use_chroma(folder)
    change(
        folder,
        "UPDATE embeddings SET vector = (SELECT vector FROM embeddings AS other "
        "WHERE other.text_hash = (SELECT text_hash FROM chunks WHERE id = 1)) "
        f"WHERE text_hash = (SELECT text_hash FROM chunks WHERE id = {FOURTH})",
    )
    assert ("chroma", f"its vector of chunk {FOURTH} is not the record's") in found(folder)


def test_a_chroma_cache_in_use_is_said_to_be_unchecked(folder: Path) -> None:
    with Collection.open(folder, CountingEmbedder(), backend="chroma") as collection:
        collection.search("kettle", 1, "dense")
        [(subject, problem)] = found(folder)
    assert subject == "chroma"
    assert problem.startswith("not checked: ")


def test_a_missing_or_unfinished_collection_cannot_be_checked(folder: Path) -> None:
    with pytest.raises(CollectionError, match="no collection"):
        check_collection(folder.parent / "nothing")
    change(folder, "DELETE FROM meta WHERE key <> 'schema_version'")
    with pytest.raises(CollectionError, match="not finished"):
        check_collection(folder)


def test_a_copied_folder_is_the_same_collection(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "elsewhere" / "manual"))
    assert check_collection(copy) == []
