"""Small chunks that are read together with those beside them."""

from pathlib import Path

from rag_adapt.retrieval.build import build_collection, sync_collection
from rag_adapt.retrieval.check import check_collection
from rag_adapt.retrieval.chunk import RecursiveChunker
from rag_adapt.retrieval.chunkers.windows import WindowChunker
from rag_adapt.retrieval.collection import Collection
from rag_adapt.retrieval.fuse import FusionWeights
from rag_adapt.retrieval.rebuild import rebuild_collection
from tests.retrieval.fakes import CountingEmbedder, write_corpus

ONE, TWO, THREE, FOUR = "The lamp is red.", "It hangs high.", "Dust it twice.", "Never wet."
TEXT = f"# Lamp\n\n{ONE}\n\n{TWO}\n\n{THREE}\n\n# Cord\n\n{FOUR}"
WINDOWS = WindowChunker(of=RecursiveChunker(tokens=7))
ALONE = FusionWeights(neighbours=0.0)


def test_every_chunk_is_read_with_those_beside_it_in_its_section() -> None:
    read = [
        (TEXT[span.start : span.end], TEXT[span.start - span.before : span.end + span.after])
        for span in WINDOWS.chunk(TEXT)
    ]
    first = f"# Lamp\n\n{ONE}"
    assert read == [
        (first, f"{first}\n\n{TWO}"),
        (TWO, f"{first}\n\n{TWO}\n\n{THREE}"),
        (THREE, f"{TWO}\n\n{THREE}"),
        (f"# Cord\n\n{FOUR}", f"# Cord\n\n{FOUR}"),
    ]


def test_a_chunk_is_found_by_words_beside_it_and_returned_alone(tmp_path: Path) -> None:
    folder, source = tmp_path / "lamps", write_corpus(tmp_path / "texts", {"lamp.md": TEXT})
    build_collection(folder, source, CountingEmbedder(), chunker=WINDOWS)
    with Collection.open(folder, CountingEmbedder()) as lamps:
        found = {hit.text for hit in lamps.search("red", 9, "lexical", weights=ALONE)}
        assert found == {f"# Lamp\n\n{ONE}", TWO}
    assert check_collection(folder, CountingEmbedder()) == []


def test_what_is_read_beside_a_chunk_follows_the_document(tmp_path: Path) -> None:
    folder, source = tmp_path / "lamps", write_corpus(tmp_path / "texts", {"lamp.md": TEXT})
    options = {"chunker": "windows", "chunk_tokens": 7}
    build_collection(folder, source, CountingEmbedder(), **options)  # type: ignore[arg-type]
    write_corpus(source, {"lamp.md": TEXT.replace("red", "green")})
    embedder = CountingEmbedder()
    sync_collection(folder, source, embedder)
    assert len(embedder.texts) == 2  # the chunk itself and the one beside it
    for _ in range(2):
        with Collection.open(folder, CountingEmbedder()) as lamps:
            assert lamps.search("red", 9, "lexical") == ()
            assert len(lamps.search("green", 9, "lexical")) == 2
        assert check_collection(folder, CountingEmbedder()) == []
        rebuild_collection(folder)
