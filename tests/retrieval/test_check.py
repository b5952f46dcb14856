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


ANEW, MEND = "rag-adapt index build manual DIR", "rag-adapt index rebuild manual"


@pytest.mark.parametrize(
    ("statement", "subject", "problem", "remedy"),
    [
        pytest.param(
            "UPDATE documents SET text = replace(text, 'three', 'seven')",
            "warranty.txt",
            "does not have the recorded SHA-256",
            ANEW,
            id="changed text",
        ),
        pytest.param(
            f"UPDATE chunks SET end = 900 WHERE id = {FOURTH}",
            f"chunk {FOURTH}",
            "leaves the document",
            ANEW,
            id="span",
        ),
        pytest.param(
            f"UPDATE chunks SET start = 3 WHERE id = {FOURTH}",
            f"chunk {FOURTH}",
            "not the text",
            ANEW,
            id="moved span",
        ),
        pytest.param(
            "DELETE FROM embeddings WHERE text_hash = (SELECT text_hash FROM chunks WHERE id = 2)",
            "chunk 2",
            "has no vector",
            MEND,
            id="no vector",
        ),
        pytest.param(
            "UPDATE embeddings SET vector = x'00000000' WHERE text_hash = "
            "(SELECT text_hash FROM chunks WHERE id = 1)",
            "chunk 1",
            "has 4 bytes, not 256",
            MEND,
            id="short vector",
        ),
        pytest.param(
            "UPDATE embeddings SET vector = zeroblob(256) WHERE text_hash = "
            f"(SELECT text_hash FROM chunks WHERE id = {THIRD})",
            f"chunk {THIRD}",
            "not normalised",
            MEND,
            id="zero vector",
        ),
        pytest.param(
            "INSERT INTO lexical(lexical) VALUES ('delete-all')",
            "lexical",
            "lacks 4 of 4 chunks",
            MEND,
            id="words",
        ),
        pytest.param(
            f"UPDATE chunks SET document = 99 WHERE id = {FOURTH}",
            "record",
            "belong to no",
            ANEW,
            id="orphan",
        ),
    ],
)
def test_damage_is_found_and_named(
    folder: Path, statement: str, subject: str, problem: str, remedy: str
) -> None:
    change(folder, statement)
    findings = check_collection(folder)
    matching = [each for each in findings if each.subject == subject and problem in each.problem]
    assert matching
    assert all(remedy in each.remedy for each in matching)


def test_words_of_another_chunk_are_found_out(folder: Path) -> None:
    numbers = (1, 2, THIRD, FOURTH)
    change(
        folder,
        "INSERT INTO lexical(lexical) VALUES ('delete-all')",
        *(f"INSERT INTO lexical(rowid, text) VALUES ({n}, 'else')" for n in numbers),
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
