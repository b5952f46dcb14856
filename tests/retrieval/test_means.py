"""One document that would cost too much is left out with a reason; the others are cut."""

import time

import pytest

from rag_adapt.core.errors import CollectionError
from rag_adapt.core.protocols import Silent
from rag_adapt.retrieval.chunk import RecursiveChunker
from rag_adapt.retrieval.means import MOST_TOKENS, Cut, cut
from rag_adapt.retrieval.parse import Corpus, Document, FailedDocument

LAMP = Document(path="lamp.md", text="The lamp gives 900 lm.")
UNREAD = FailedDocument(path="a.bin", reason="no text")


def cut_of(*documents: Document, tokens: int = 120, **bounds: int) -> Cut:
    corpus = Corpus(documents=documents, failed=(UNREAD,))
    return cut(corpus, RecursiveChunker(tokens=tokens), Silent(), **bounds)


def test_every_document_is_cut_as_its_chunker_cuts_it() -> None:
    found = cut_of(LAMP)
    assert found.spans == {"lamp.md": RecursiveChunker().chunk(LAMP.text)}
    assert found.corpus == Corpus(documents=(LAMP,), failed=(UNREAD,))


@pytest.mark.parametrize(
    "text",
    ["word " * 3_000_000, "x" * 15_000_000, "字" * (MOST_TOKENS + 1)],
    ids=["15 MB of words", "one word of 15 MB", "Chinese"],
)
def test_a_document_of_too_many_tokens_costs_little_and_the_others_go_on(text: str) -> None:
    begun = time.process_time()
    found = cut_of(Document(path="hostile.txt", text=text), LAMP)
    assert time.process_time() - begun < 3
    assert list(found.spans) == ["lamp.md"]
    assert found.corpus.failed == (
        UNREAD,
        FailedDocument(
            path="hostile.txt", reason="longer than 1000000 tokens; split it into smaller files"
        ),
    )


def test_a_document_of_too_many_chunks_is_left_out() -> None:
    headings = Document(path="headings.md", text="# a\nb\n" * 11)
    found = cut_of(headings, LAMP, most_chunks=10)
    assert list(found.spans) == ["lamp.md"]
    assert found.corpus.failed[-1].reason == (
        "11 chunks, more than 10; split it into smaller files"
    )


def test_a_corpus_of_which_nothing_is_left_says_why() -> None:
    with pytest.raises(CollectionError, match="longer than 2 tokens"):
        cut_of(LAMP, most_tokens=2)
