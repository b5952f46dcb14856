"""Both ways between LangChain's retrievers and ours."""

import asyncio
from pathlib import Path

import pytest
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever

from rag_adapt.core.errors import SettingsError
from rag_adapt.core.types import Passage
from rag_adapt.retrieval.langchain_retriever import (
    LangChainRetriever,
    as_langchain,
    load_retriever,
)

FACTORY = """
from tests.retrieval.test_langchain_retriever import Fixed

def make():
    return Fixed(documents=[])

def wrong():
    return "not a retriever"

def broken():
    raise ConnectionError("no server at port 6333")

number = 3
"""


class Fixed(BaseRetriever):
    """Always the same documents."""

    documents: list[Document]

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        return self.documents


class Passages:
    async def search(self, query: str, k: int) -> tuple[Passage, ...]:
        return (Passage(document="a.md", start=3, end=8, text=query, score=0.5),) * k


def search(documents: list[Document], k: int = 4) -> tuple[Passage, ...]:
    return asyncio.run(LangChainRetriever(Fixed(documents=documents), "shop").search("q", k))


def test_a_document_with_offsets_keeps_them() -> None:
    metadata = {"source": "a.md", "start_index": 7, "score": 0.25}
    assert search([Document(page_content="tea", metadata=metadata)]) == (
        Passage(document="a.md", start=7, end=10, text="tea", score=0.25),
    )


def test_a_document_without_offsets_is_taken_as_whole() -> None:
    documents = [Document(page_content="tea"), Document(page_content="coffee", id="d2")]
    assert search(documents) == (
        Passage(document="shop", start=0, end=3, text="tea", score=1.0),
        Passage(document="d2", start=0, end=6, text="coffee", score=0.5),
    )


def test_no_more_than_k_passages_are_returned() -> None:
    assert len(search([Document(page_content="tea")] * 5, k=2)) == 2


def test_our_retriever_answers_langchain_both_ways() -> None:
    retriever = as_langchain(Passages(), k=2)
    expected = {"source": "a.md", "start_index": 3, "end_index": 8, "score": 0.5}
    for found in (retriever.invoke("hello"), asyncio.run(retriever.ainvoke("hello"))):
        assert [(each.page_content, each.metadata) for each in found] == [("hello", expected)] * 2


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shop_retrieval.py").write_text(FACTORY)
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.usefixtures("shop")
def test_a_retriever_is_made_by_its_import_path() -> None:
    retriever = load_retriever("shop_retrieval:make")
    assert asyncio.run(retriever.search("q", 1)) == ()


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("shop_retrieval", "is not `package.module:factory`"),
        ("shop_retrieval:make()", "is not `package.module:factory`"),
        ("no_such_package:make", "cannot be imported"),
        ("shop_retrieval:absent", "cannot be imported"),
        ("shop_retrieval:number", "is a int, no function"),
        (
            "shop_retrieval:wrong",
            "returned a str, which is neither a LangChain BaseRetriever nor a VectorStore",
        ),
        ("shop_retrieval:broken", "failed: ConnectionError: no server at port 6333"),
    ],
)
def test_a_wrong_import_path_names_the_settings_key(path: str, problem: str) -> None:
    with pytest.raises(SettingsError, match="settings key 'retriever'") as caught:
        load_retriever(path)
    assert problem in caught.value.fact
