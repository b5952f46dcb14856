"""What a collection no longer holds is forgotten by embedders to the last byte, kills or not."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rag_adapt.cli.app import run
from rag_adapt.core.errors import LockedError
from rag_adapt.retrieval import sqlite
from rag_adapt.retrieval.build import BuildReport, build_collection, sync_collection
from rag_adapt.retrieval.check import check_collection
from rag_adapt.retrieval.embed import CachedEmbedder, HashingEmbedder, text_hash
from rag_adapt.retrieval.rebuild import rebuild_collection
from rag_adapt.retrieval.record import Record
from rag_adapt.retrieval.remembered import VECTORS
from rag_adapt.retrieval.removal import remove_collection
from tests.retrieval.fakes import MANUAL, CountingEmbedder, numbered_corpus, write_corpus

if TYPE_CHECKING:
    from rag_adapt.retrieval.protocols import Vectors

HOME, SOURCE, FOLDER = Path("home"), Path("source"), Path("indexes/manual")
CACHE = HOME / VECTORS
SECRET = "The xylograph is buried."


class Dying(CountingEmbedder):
    """Embeds, and dies before anybody can keep the vectors; what it asked does remember them."""

    def __init__(self) -> None:
        super().__init__()
        self._inner = cached()

    def embed(self, texts: Sequence[str]) -> "Vectors":
        self._inner.embed(texts)
        raise KeyboardInterrupt


def cached() -> CachedEmbedder:
    return CachedEmbedder(CountingEmbedder(), path=CACHE)


def built(documents: dict[str, str] | None = None, folder: Path = FOLDER) -> BuildReport:
    write_corpus(SOURCE, documents or MANUAL)
    return build_collection(folder, SOURCE, cached(), remembered=CACHE)


def synced(*, remembered: Path | None = CACHE) -> BuildReport:
    return sync_collection(FOLDER, SOURCE, cached(), remembered=remembered)


def known() -> dict[str, bytes]:
    """What embedders remember, by text hash."""
    with closing(sqlite3.connect(CACHE)) as connection:
        return dict(connection.execute("SELECT text_hash, vector FROM vectors"))


def held(folder: Path = FOLDER) -> set[str]:
    """Text hashes of the chunks."""
    with closing(Record.read(folder)) as record:
        return {chunk.text_hash for chunk in record.chunks()}


def noted() -> int:
    with closing(Record.read(FOLDER)) as record:
        return record.count("loose")


def bytes_left(gone: dict[str, bytes]) -> list[str]:
    """Those of which a file still holds the key or the vector."""
    files = [path for place in (HOME, FOLDER) for path in place.rglob("*") if path.is_file()]
    raw = b"".join(path.read_bytes() for path in files)
    return [key for key, vector in gone.items() if key.encode() in raw or vector in raw]


def test_no_byte_is_left_of_removed_and_replaced_documents_and_the_rest_stays_known() -> None:
    numbered_corpus(SOURCE, 200)
    built({"0003.md": SECRET})
    before = known()
    for number in range(0, 200, 3):
        (SOURCE / f"{number:04}.md").unlink()
    write_corpus(SOURCE, {"0001.md": "# Part 1\n\nAnother fact.", "0004.md": "Other words."})
    assert synced().forgotten == 69
    gone = {key: vector for key, vector in before.items() if key not in held()}
    assert len(gone) == 69
    assert set(known()) == held()
    assert bytes_left(gone) == []
    assert synced().embedded == 0
    assert check_collection(FOLDER, remembered=CACHE) == []


def test_the_command_forgets_what_went(capsys: pytest.CaptureFixture[str]) -> None:
    write_corpus(SOURCE, {**MANUAL, "a.md": SECRET})
    build = ["--home", str(HOME), "index", "build", "manual", "source", "--embedder", "hashing"]
    assert run(build) == 0
    assert text_hash(SECRET) in known()
    (SOURCE / "a.md").unlink()
    sync = [*build[:3], "sync", *build[4:]]
    assert run(sync) == 0
    assert set(known()) == held()
    write_corpus(SOURCE, {"filling.md": SECRET})
    assert run(build) == 0
    assert set(known()) == held()
    assert run([*build[:3], "check", "manual"]) == 0
    assert "nothing wrong" in capsys.readouterr().out


def test_another_collection_keeps_its_own_vectors_of_the_same_text() -> None:
    built(folder=FOLDER.with_name("other"))
    built()
    (SOURCE / "filling.md").unlink()
    assert synced().forgotten == 1
    assert len(known()) == 3
    assert check_collection(FOLDER.with_name("other"), CountingEmbedder()) == []


def test_texts_that_a_chunker_asked_for_are_forgotten_too() -> None:
    sentences = " ".join(f"The valve of kettle {n} turns well." for n in range(8))
    write_corpus(SOURCE, {"a.md": sentences})
    embedder = CountingEmbedder()
    build_collection(
        FOLDER,
        SOURCE,
        CachedEmbedder(embedder, path=CACHE),
        chunker="tension-embedded",
        chunk_tokens=20,
        remembered=CACHE,
    )
    assert len(set(embedder.texts)) > len(held())
    assert set(known()) == held()


@pytest.mark.parametrize("then", ["the same again", "changed again", "as before", "gone"])
def test_a_kill_while_embedding_leaves_nothing_that_the_next_sync_does_not_forget(
    then: str,
) -> None:
    built()
    write_corpus(SOURCE, {"filling.md": SECRET})
    with pytest.raises(KeyboardInterrupt):
        sync_collection(FOLDER, SOURCE, Dying(), remembered=CACHE)
    assert text_hash(SECRET) in known()
    assert check_collection(FOLDER, remembered=CACHE) == []
    if then == "gone":
        (SOURCE / "filling.md").unlink()
    else:
        changed = {"changed again": "Something else.", "as before": MANUAL["filling.md"]}
        write_corpus(SOURCE, {"filling.md": changed.get(then, SECRET)})
    synced()
    assert set(known()) == held()
    assert (text_hash(SECRET) in known()) == (then == "the same again")
    assert (noted(), check_collection(FOLDER, remembered=CACHE)) == (0, [])


class Halfway(CountingEmbedder):
    """Dies at its second batch."""

    def embed(self, texts: Sequence[str]) -> "Vectors":
        if self.texts:
            raise KeyboardInterrupt
        return super().embed(texts)


@pytest.mark.parametrize("weights", ["counting", "others"])
def test_vectors_that_a_killed_sync_kept_are_no_orphans_after_the_next(weights: str) -> None:
    built()
    numbered_corpus(SOURCE, 100)
    with pytest.raises(KeyboardInterrupt):
        sync_collection(FOLDER, SOURCE, Halfway(weights))
    with closing(Record.read(FOLDER)) as record:
        assert record.count("embeddings") == 4 + 64
    for path in SOURCE.glob("0*.md"):
        path.unlink()
    synced()
    with closing(Record.read(FOLDER)) as record:
        assert record.count("embeddings") == 4
    assert check_collection(FOLDER) == []


@pytest.mark.parametrize("finish", ["sync", "build", "rebuild", "remove"])
def test_a_kill_before_embedders_forgot_is_found_and_finished(finish: str) -> None:
    built({**MANUAL, "a.md": SECRET})
    gone = {text_hash(SECRET): known()[text_hash(SECRET)]}
    (SOURCE / "a.md").unlink()
    assert synced(remembered=None).forgotten == 0  # as where it is killed after the record's change
    assert noted() == 1
    (finding,) = check_collection(FOLDER, remembered=CACHE)
    assert (finding.subject, finding.problem) == (
        "remembered",
        "embedders still remember 1 vectors of texts that are gone",
    )
    assert "rag-adapt index rebuild manual" in finding.remedy
    assert bytes_left(gone) == list(gone)
    if finish == "sync":
        assert synced().forgotten == 1
    elif finish == "build":
        assert built().forgotten == 1
    elif finish == "rebuild":
        assert rebuild_collection(FOLDER, remembered=CACHE).forgotten == 1
    else:
        assert remove_collection(FOLDER.parent, "manual", home=HOME).vectors == 5
    assert bytes_left(gone) == []


def test_a_rebuild_leaves_an_unfinished_update_its_vectors() -> None:
    built()
    write_corpus(SOURCE, {"filling.md": SECRET})
    with pytest.raises(KeyboardInterrupt):
        sync_collection(FOLDER, SOURCE, Dying(), remembered=CACHE)
    rebuilt = rebuild_collection(FOLDER, remembered=CACHE)
    assert (rebuilt.dropped, rebuilt.forgotten) == (0, 0)
    assert text_hash(SECRET) in known()


def test_a_cache_that_somebody_reads_is_overwritten_later(monkeypatch: pytest.MonkeyPatch) -> None:
    built({**MANUAL, "a.md": SECRET})
    gone = {text_hash(SECRET): known()[text_hash(SECRET)]}
    (SOURCE / "a.md").unlink()
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.05)
    with closing(sqlite.open_reader(CACHE)) as reader:
        assert reader.execute("SELECT count(*) FROM vectors").fetchone() == (5,)
        with pytest.raises(LockedError, match="is read by another process"):
            synced()
    assert noted() == 1
    assert synced().unchanged
    assert (noted(), bytes_left(gone)) == (0, [])


def test_a_collection_whose_record_is_damaged_takes_all_that_is_remembered_with_it() -> None:
    built()
    gone = known()
    (FOLDER / "record.db").write_bytes(b"no database" * 1000)
    assert remove_collection(FOLDER.parent, "manual", home=HOME).vectors == 4
    assert (known(), bytes_left(gone)) == ({}, [])


def test_a_cache_without_its_table_has_nothing_to_forget() -> None:
    built()
    CACHE.unlink()
    sqlite3.connect(CACHE).close()
    (SOURCE / "filling.md").unlink()
    report = sync_collection(FOLDER, SOURCE, HashingEmbedder(), remembered=CACHE)
    assert report.forgotten == 0


def test_a_record_of_before_is_rid_of_what_was_left_in_it() -> None:
    built()
    with closing(sqlite3.connect(FOLDER / "record.db")) as connection:
        connection.execute("DROP TABLE loose")
        connection.execute(
            "INSERT INTO embeddings SELECT weights, 'ff', vector FROM embeddings LIMIT 1"
        )
        connection.commit()
    assert [each.subject for each in check_collection(FOLDER)] == ["vectors"]
    assert synced().unchanged
    assert check_collection(FOLDER) == []
