"""Searching collections."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rag_adapt.core.errors import CollectionError
from rag_adapt.core.types import Passage, Span
from rag_adapt.retrieval.build import build_collection
from rag_adapt.retrieval.collection import Collection, CollectionRetriever
from rag_adapt.retrieval.fuse import FusionWeights
from rag_adapt.retrieval.lock import writing
from rag_adapt.retrieval.protocols import SearchMode
from tests.retrieval.fakes import MANUAL, CountingEmbedder, write_corpus

MODES: tuple[SearchMode, ...] = ("dense", "lexical", "fused")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    documents = {**MANUAL, "odd.md": "🙂 Größe: the naïve kettle weighs 900 g.\r\n\r\nEnd."}
    folder = tmp_path / "indexes" / "manual"
    build_collection(folder, write_corpus(tmp_path / "source", documents), CountingEmbedder())
    return folder


@pytest.fixture
def manual(folder: Path) -> Iterator[Collection]:
    with Collection.open(folder, CountingEmbedder()) as collection:
        yield collection


@pytest.mark.parametrize("mode", MODES)
def test_the_best_passage_comes_first_and_is_its_span(manual: Collection, mode: SearchMode) -> None:
    hits = manual.search("how many litres of water", 3, mode)
    assert hits[0].document == "filling.md"
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    for hit in hits:
        assert manual.text(hit.document)[hit.start : hit.end] == hit.text


def test_offsets_count_characters_of_the_parsed_text(manual: Collection) -> None:
    hit = manual.search("naïve Größe", 1, "lexical")[0]
    assert (hit.document, hit.start, hit.end) == ("odd.md", 0, 45)
    assert manual.text("odd.md") == "🙂 Größe: the naïve kettle weighs 900 g.\n\nEnd."


@pytest.mark.parametrize("mode", ["dense", "fused"])
def test_fewer_passages_than_asked_for_are_all_of_them(
    manual: Collection, mode: SearchMode
) -> None:
    assert len(manual.search("kettle", 100, mode)) == manual.info().chunks == 5


def test_a_heading_finds_the_chunks_below_it(manual: Collection) -> None:
    hits = manual.search("Cleaning", 5, "lexical")
    assert {hit.text for hit in hits} == {
        "# Cleaning\n\nRinse the kettle with vinegar.",
        "## Filter\n\nSoak it.",
    }


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("query", ["", '"', "\udcff", "a\0b", "NEAR("])
def test_no_query_breaks_a_search(manual: Collection, mode: SearchMode, query: str) -> None:
    assert len(manual.search(query, 2, mode)) <= 2


def test_asking_for_no_passage_is_a_mistake_of_the_caller(manual: Collection) -> None:
    with pytest.raises(ValueError, match="k is 0"):
        manual.search("kettle", 0)


def test_without_an_embedder_only_words_can_be_searched(folder: Path) -> None:
    with Collection.open(folder) as collection:
        assert collection.search("litres", 1, "lexical")
        with pytest.raises(CollectionError, match="without an embedder") as caught:
            collection.search("litres", 1, "dense")
        assert "--mode lexical" in caught.value.hint


def test_other_weights_are_refused_with_the_remedy(folder: Path) -> None:
    with pytest.raises(CollectionError, match="weights other") as caught:
        Collection.open(folder, CountingEmbedder("other"))
    assert "rag-adapt index build manual DIR --embedder counting" in caught.value.hint


def test_a_missing_collection_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(CollectionError, match="no collection 'nothing'") as caught:
        Collection.open(tmp_path / "nothing", CountingEmbedder())
    assert "rag-adapt index build nothing DIR" in caught.value.hint


def test_documents_and_their_texts_can_be_read(manual: Collection) -> None:
    assert manual.documents() == ("care/cleaning.md", "filling.md", "odd.md", "warranty.txt")
    assert manual.text("warranty.txt") == "The warranty lasts three years.\n"
    with pytest.raises(CollectionError, match=r"no document 'x\.md'"):
        manual.text("x.md")


def test_a_gold_span_is_cut_out(manual: Collection) -> None:
    assert manual.passage(Span(document="warranty.txt", start=4, end=12)) == Passage(
        document="warranty.txt", start=4, end=12, text="warranty"
    )


@pytest.mark.parametrize(("start", "end"), [(-1, 3), (3, 3), (0, 99)])
def test_a_gold_span_outside_its_document_is_refused(
    manual: Collection, start: int, end: int
) -> None:
    with pytest.raises(CollectionError, match=f"span {start}-{end} is not inside"):
        manual.passage(Span(document="warranty.txt", start=start, end=end))


def test_a_retriever_searches_without_stopping_the_loop(manual: Collection) -> None:
    async def search() -> list[tuple[Passage, ...]]:
        retriever = CollectionRetriever(manual)
        return await asyncio.gather(*(retriever.search("litres", 1) for _ in range(20)))

    found = asyncio.run(search())
    assert {hits[0].document for hits in found} == {"filling.md"}


def test_several_threads_may_search_at_once(folder: Path) -> None:
    found: list[str] = []
    with Collection.open(folder, CountingEmbedder()) as collection:
        threads = [
            threading.Thread(
                target=lambda: found.append(collection.search("litres", 1)[0].document)
            )
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == ["filling.md"] * 8


def test_chroma_and_exact_search_agree_on_small_collections(folder: Path) -> None:
    found = []
    for backend in ("exact", "chroma"):
        with Collection.open(folder, CountingEmbedder(), backend=backend) as collection:
            found.append(
                [
                    (hit.document, hit.start, round(hit.score, 4))
                    for query in ("litres of water", "vinegar", "warranty years")
                    for hit in collection.search(query, 4, "dense")
                ]
            )
    assert found[0] == found[1]


def test_large_collections_take_chroma_unless_another_process_has_it(folder: Path) -> None:
    with Collection.open(folder, CountingEmbedder(), exact_limit=2) as collection:
        with writing(folder):
            assert len(collection.search("litres", 2)) == 2
        assert not (folder / "chroma").exists()
    with Collection.open(folder, CountingEmbedder(), exact_limit=2) as collection:
        assert len(collection.search("litres", 2)) == 2
        assert (folder / "chroma").exists()


def test_neighbours_in_the_same_document_are_found_through_a_hit(tmp_path: Path) -> None:
    story = "# One\n\nThe vault is green.\n\n# Two\n\nIts code is 9.\n\n# Three\n\nBirds sing."
    source = write_corpus(tmp_path / "texts", {"a.md": "Alone.", "b.md": story, "c.md": "Zebras."})
    build_collection(tmp_path / "near", source, CountingEmbedder())
    with Collection.open(tmp_path / "near", CountingEmbedder()) as near:
        words = FusionWeights(dense=0.0, neighbours=0.0)
        lent = FusionWeights(dense=0.0, neighbours=0.5)
        assert len(near.search("green vault", 9, weights=words)) == 1
        hits = near.search("green vault", 9, weights=lent)
    assert [(hit.document, hit.text.split()[1]) for hit in hits] == [
        ("b.md", "One"),
        ("b.md", "Two"),
    ]
    assert hits[1].score == hits[0].score / 2


def test_a_budget_cuts_what_is_returned(manual: Collection) -> None:
    whole = manual.search("kettle", 5, "lexical")
    cut = manual.search("kettle", 5, "lexical", budget_tokens=4)
    assert whole[0].text.startswith(cut[0].text)
    assert sum(len(hit.text) for hit in cut) < sum(len(hit.text) for hit in whole)


def test_spans_are_those_of_all_chunks(manual: Collection) -> None:
    assert len(manual.spans()) == manual.info().chunks
    assert Span(document="warranty.txt", start=0, end=31) in manual.spans()
