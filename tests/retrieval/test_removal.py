"""A collection that is removed is gone, and one that is used is not removed."""

import json
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from rag_adapt.core.errors import CollectionError, LockedError
from rag_adapt.retrieval.build import build_collection
from rag_adapt.retrieval.catalog import list_collections
from rag_adapt.retrieval.collection import Collection
from rag_adapt.retrieval.embed import CachedEmbedder, HashingEmbedder
from rag_adapt.retrieval.lock import writing
from rag_adapt.retrieval.query_log import asked, switch_on
from rag_adapt.retrieval.record import Record
from rag_adapt.retrieval.remembered import VECTORS
from rag_adapt.retrieval.removal import DOCUMENTS, remove_collection
from tests.retrieval.fakes import MANUAL, write_corpus

INDEXES, HOME = Path("indexes"), Path("home")
FOLDER = INDEXES / "manual"


def built(name: str = "manual", documents: dict[str, str] | None = None) -> Path:
    source = write_corpus(HOME / DOCUMENTS / name, documents or MANUAL)
    embedder = CachedEmbedder(HashingEmbedder(), path=HOME / VECTORS)
    build_collection(INDEXES / name, source, embedder)
    return source


def remembered() -> int:
    with closing(sqlite3.connect(HOME / VECTORS)) as connection:
        return int(connection.execute("SELECT count(*) FROM vectors").fetchone()[0])


def test_record_indexes_documents_and_vectors_are_gone() -> None:
    source = built()
    embedder = HashingEmbedder()
    with Collection.open(FOLDER, embedder, backend="chroma") as collection:
        collection.search("kettle", 1, "dense")
    on_disk = sum(p.stat().st_size for p in FOLDER.rglob("*") if p.is_file())
    gone = remove_collection(INDEXES, "manual", home=HOME)
    assert gone.collection == "manual"
    assert gone.bytes >= on_disk
    assert gone.vectors == 4
    assert remembered() == 0
    assert not FOLDER.exists()
    assert not source.exists()
    assert list_collections(INDEXES) == ()


def test_no_words_of_it_are_left_in_any_file() -> None:
    built("other", {"a.md": "# Apples\n\nAll about apples.\n"})
    built("manual", {"secret.md": "# Secret\n\nThe xylograph is buried.\n"})
    remove_collection(INDEXES, "manual", home=HOME)
    files = [path for place in (INDEXES, HOME) for path in place.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if b"xylograph" in path.read_bytes()]


def test_other_collections_stay_and_embed_again_what_they_shared() -> None:
    built("other")
    built("manual")
    assert remove_collection(INDEXES, "manual", home=HOME).vectors == 4
    assert [each.name for each in list_collections(INDEXES)] == ["other"]
    with Collection.open(INDEXES / "other", HashingEmbedder()) as collection:
        assert collection.search("vinegar", 1)
    embedder = CachedEmbedder(HashingEmbedder(), path=HOME / VECTORS)
    assert build_collection(INDEXES / "other", HOME / DOCUMENTS / "other", embedder).unchanged


def test_documents_that_lie_elsewhere_stay() -> None:
    source = write_corpus(Path("mine"))
    build_collection(FOLDER, source, HashingEmbedder())
    assert remove_collection(INDEXES, "manual", home=HOME).vectors == 0
    assert len(list(source.rglob("*.*"))) == len(MANUAL)


@pytest.fixture
def holder(request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the record open for reading."""
    built()
    script = (
        "import sys; from pathlib import Path\n"
        "from rag_adapt.retrieval.collection import Collection\n"
        "one = Collection.open(Path(sys.argv[1])); print('open', flush=True); sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(FOLDER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    yield process
    process.communicate("")


def test_what_another_process_reads_is_not_removed(holder: "subprocess.Popen[str]") -> None:
    with pytest.raises(LockedError, match="'manual' is open for reading"):
        remove_collection(INDEXES, "manual", home=HOME)
    assert list_collections(INDEXES)[0].documents == 3
    assert remembered() == 4
    holder.communicate("")
    remove_collection(INDEXES, "manual", home=HOME)
    assert not FOLDER.exists()


def test_a_reader_that_ends_soon_is_waited_for() -> None:
    built()
    reader = Collection.open(FOLDER)
    closing_soon = threading.Timer(0.3, reader.close)
    closing_soon.start()
    remove_collection(INDEXES, "manual", home=HOME)
    closing_soon.join()
    assert not FOLDER.exists()


def test_what_somebody_builds_is_not_removed() -> None:
    built()
    with writing(FOLDER), pytest.raises(LockedError, match="is held by process"):
        remove_collection(INDEXES, "manual", home=HOME)
    assert list_collections(INDEXES)[0].state == "ready"


def test_what_chroma_has_open_is_not_removed() -> None:
    built()
    with Collection.open(FOLDER, HashingEmbedder(), backend="chroma") as collection:
        collection.search("kettle", 1, "dense")
        with pytest.raises(LockedError):
            remove_collection(INDEXES, "manual", home=HOME)


@pytest.mark.parametrize("state", ["unfinished", "damaged", "half removed", "only uploaded"])
def test_a_collection_that_cannot_be_searched_can_be_removed(state: str) -> None:
    uploaded = write_corpus(HOME / DOCUMENTS / "manual")
    if state != "only uploaded":
        FOLDER.mkdir(parents=True)
    if state == "unfinished":
        Record.write(FOLDER).close()
    elif state == "damaged":
        (FOLDER / "record.db").write_bytes(b"no database" * 1000)
    elif state == "half removed":
        (FOLDER / "lock").touch()
    remove_collection(INDEXES, "manual", home=HOME)
    assert not FOLDER.exists()
    assert not uploaded.exists()


def test_a_record_without_its_tables_can_be_removed() -> None:
    built()
    with closing(sqlite3.connect(FOLDER / "record.db")) as connection:
        connection.execute("DROP TABLE embeddings")
        connection.commit()
    assert remove_collection(INDEXES, "manual", home=HOME).vectors == 4
    assert not FOLDER.exists()


def test_what_is_not_there_cannot_be_removed() -> None:
    with pytest.raises(CollectionError, match="there is no collection 'manual'"):
        remove_collection(INDEXES, "manual", home=HOME)


@pytest.mark.parametrize("name", ["..", "a/b", "", "UP"])
def test_a_name_leads_nowhere_else(name: str) -> None:
    with pytest.raises(CollectionError, match="cannot name a collection"):
        remove_collection(INDEXES, name, home=HOME)


def test_what_is_not_ours_stays() -> None:
    built()
    (FOLDER / "thesis.tex").write_text("mine")
    with pytest.raises(CollectionError, match=r"'thesis\.tex', which is no part"):
        remove_collection(INDEXES, "manual", home=HOME)
    assert (FOLDER / "record.db").exists()


def test_a_link_is_not_followed() -> None:
    built("other")
    FOLDER.symlink_to((INDEXES / "other").absolute())
    with pytest.raises(CollectionError, match="is a link"):
        remove_collection(INDEXES, "manual", home=HOME)
    assert (INDEXES / "other" / "record.db").exists()


def test_runs_that_still_quote_it_are_named() -> None:
    built()
    (HOME / "runs" / "empty").mkdir(parents=True)
    for run, name in {
        "one": "manual",
        "two": "manual-2",
        "three": "other",
        "four": "manual",
    }.items():
        trace = {"events": [{"name": "retrieve", "detail": {"collection": f"{name}@1f3a9c2e7b04"}}]}
        folder = HOME / "runs" / run
        folder.mkdir(parents=True)
        kept = folder / ("dev.jsonl" if run == "four" else "answers.jsonl")
        kept.write_text(json.dumps({"arm": "rag", "trace": trace}) + "\n")
    assert remove_collection(INDEXES, "manual", home=HOME).runs == ("four", "one")
    assert (HOME / "runs" / "one" / "answers.jsonl").exists()


def test_questions_go_with_the_collection() -> None:
    built()
    switch_on(FOLDER)
    with Collection.open(FOLDER) as collection:
        collection.search("who hid the xylograph", 1, "lexical")
    assert [each["query"] for each in asked(FOLDER)] == ["who hid the xylograph"]
    remove_collection(INDEXES, "manual", home=HOME)
    files = [path for place in (INDEXES, HOME) for path in place.rglob("*") if path.is_file()]
    assert not [path for path in files if b"xylograph" in path.read_bytes()]


def test_a_deleted_document_leaves_no_bytes_in_its_collection() -> None:
    source = built(
        "manual", {"a.md": "# Secret\n\nThe xylograph is buried.", "b.md": "# B\n\nBee."}
    )
    with Collection.open(FOLDER, HashingEmbedder(), backend="chroma") as collection:
        (found,) = collection.search("xylograph", 1, "dense")
    record = Record.read(FOLDER)
    (vector,) = record.connection.execute(
        "SELECT vector FROM embeddings JOIN chunks USING (text_hash) WHERE chunks.id = 1"
    ).fetchone()
    record.close()
    held = [path for path in FOLDER.rglob("*") if path.is_file()]
    assert [path.name for path in held if b"xylograph" in path.read_bytes()] == ["record.db"]
    assert [path for path in held if vector in path.read_bytes()]
    (source / found.document).unlink()
    build_collection(FOLDER, source, HashingEmbedder())
    left = [path.read_bytes() for path in FOLDER.rglob("*") if path.is_file()]
    assert not [raw for raw in left if b"xylogr" in raw]
    assert not [raw for raw in left if vector in raw]
