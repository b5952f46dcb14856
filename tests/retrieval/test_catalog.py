"""Which collections there are."""

from pathlib import Path

import pytest

from rag_adapt.core.errors import CollectionError
from rag_adapt.retrieval.build import build_collection
from rag_adapt.retrieval.catalog import collection_folder, list_collections
from rag_adapt.retrieval.record import Record
from tests.retrieval.fakes import CountingEmbedder, write_corpus


@pytest.mark.parametrize("name", ["ab", "a" * 49, "Manual", "a/b/c", "../up", "abc\n", "größe"])
def test_a_name_that_could_be_anything_else_is_refused(name: str) -> None:
    with pytest.raises(CollectionError, match="cannot name a collection"):
        collection_folder(Path("indexes"), name)


def test_a_good_name_is_a_folder_among_the_indexes() -> None:
    assert collection_folder(Path("indexes"), "my-manual-2") == Path("indexes/my-manual-2")


def test_every_collection_is_listed_with_its_state(tmp_path: Path) -> None:
    source = write_corpus(tmp_path / "source")
    build_collection(tmp_path / "i" / "good", source, CountingEmbedder())
    (tmp_path / "i" / "half").mkdir()
    Record.write(tmp_path / "i" / "half").close()
    write_corpus(tmp_path / "i", {"bad/record.db": b"x" * 5000, "none/lock": "", "README.md": ""})
    listed = list_collections(tmp_path / "i")
    assert [(each.name, each.state, each.documents) for each in listed] == [
        ("bad", "damaged", 0),
        ("good", "ready", 3),
        ("half", "unfinished", 0),
    ]


def test_no_folder_holds_no_collections(tmp_path: Path) -> None:
    assert list_collections(tmp_path / "missing") == ()
