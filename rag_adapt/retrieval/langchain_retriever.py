"""Between LangChain's retrievers and vector stores and ours, both ways.

It does not know any vector store: users name a factory by import path, in settings or a flag and
nowhere else, because an import path runs code.
"""

import importlib
from typing import TYPE_CHECKING, Any, Final

from rag_adapt.core.errors import SettingsError
from rag_adapt.core.types import Passage

if TYPE_CHECKING:
    from langchain_core.documents import Document
    from langchain_core.retrievers import BaseRetriever
    from langchain_core.vectorstores import VectorStore

    from rag_adapt.core.protocols import Retriever

_FUNCTION: Final = (
    "Name a function without arguments that returns a LangChain BaseRetriever or VectorStore."
)


class LangChainRetriever:
    """A LangChain retriever as `core.protocols.Retriever`.

    A document's name is its metadata `source`, else its id, else `source`. It starts at its
    metadata `start_index` (as LangChain's splitters write it), else it is taken as whole: 0 to
    its length. Its score is its metadata `score`, else 1 / rank.

    Args:
        base_retriever: how many documents it looks for is its own setting; `k` can only cut.
        source: name of documents that carry none.
    """

    def __init__(self, base_retriever: "BaseRetriever", source: str) -> None:
        self._base = base_retriever
        self._source = source

    async def search(self, query: str, k: int) -> tuple[Passage, ...]:
        """See `Retriever.search`."""
        documents = await self._base.ainvoke(query)
        return tuple(
            _passage(document, _score(document, rank), self._source)
            for rank, document in enumerate(documents[:k], start=1)
        )


class LangChainStore:
    """A LangChain vector store as `core.protocols.Retriever`.

    Names and places are those of `LangChainRetriever`. The score is the store's relevance, which
    is higher for what is nearer; of stores that know none, 1 / rank.
    """

    def __init__(self, store: "VectorStore", source: str) -> None:
        self._store = store
        self._source = source

    async def search(self, query: str, k: int) -> tuple[Passage, ...]:
        """See `Retriever.search`."""
        try:
            found = await self._store.asimilarity_search_with_relevance_scores(query, k=k)
        except RuntimeError:  # of a store that knows no relevance; any other comes again below
            documents = await self._store.asimilarity_search(query, k=k)
            found = [(document, 1.0 / rank) for rank, document in enumerate(documents, start=1)]
        return tuple(_passage(document, score, self._source) for document, score in found)


def load_retriever(import_path: str) -> LangChainRetriever | LangChainStore:
    """Import `package.module:factory`, call it, and adapt the retriever or store that it returns.

    Raises:
        SettingsError: the path is not of that form, cannot be imported, fails, or makes something
            else.
    """
    from langchain_core.retrievers import BaseRetriever
    from langchain_core.vectorstores import VectorStore

    made = _made(import_path)
    if isinstance(made, BaseRetriever):
        return LangChainRetriever(made, source=import_path)
    if isinstance(made, VectorStore):
        return LangChainStore(made, source=import_path)
    raise SettingsError(
        f"settings key 'retriever': {import_path!r} returned a {type(made).__name__}, which is "
        "neither a LangChain BaseRetriever nor a VectorStore",
        hint="Return the store itself, such as a `QdrantVectorStore`, or what its "
        "`.as_retriever()` returns.",
    )


def as_langchain(retriever: "Retriever", *, k: int) -> "BaseRetriever":
    """Our retriever as a LangChain one: `source`, `start_index`, `end_index`, `score` as metadata.

    Args:
        retriever: any of ours.
        k: documents per query.
    """
    from langchain_core.callbacks import (
        AsyncCallbackManagerForRetrieverRun,
        CallbackManagerForRetrieverRun,
    )
    from langchain_core.documents import Document
    from langchain_core.retrievers import BaseRetriever

    class RagAdaptRetriever(BaseRetriever):
        """Asks one of our retrievers."""

        async def _aget_relevant_documents(
            self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun
        ) -> list[Document]:
            return [_document(passage) for passage in await retriever.search(query, k)]

        def _get_relevant_documents(
            self, query: str, *, run_manager: CallbackManagerForRetrieverRun
        ) -> list[Document]:
            import asyncio

            return [_document(passage) for passage in asyncio.run(retriever.search(query, k))]

    return RagAdaptRetriever()


def _made(import_path: str) -> Any:
    factory = _factory(import_path)
    try:
        return factory()
    except Exception as exc:  # whatever a store's client raises
        raise SettingsError(
            f"settings key 'retriever': {import_path!r} failed: {type(exc).__name__}: {exc}",
            hint="Call it in Python to see where; a store's server must be running.",
        ) from exc


def _factory(import_path: str) -> Any:
    module, _, name = import_path.partition(":")
    if not module or not name.isidentifier():
        raise SettingsError(
            f"settings key 'retriever': {import_path!r} is not `package.module:factory`",
            hint=_FUNCTION,
        )
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as exc:
        raise SettingsError(
            f"settings key 'retriever': {import_path!r} cannot be imported: {exc}",
            hint="Install the package into this environment, or correct the path.",
        ) from exc
    if not callable(found):
        raise SettingsError(
            f"settings key 'retriever': {import_path!r} is a {type(found).__name__}, no function",
            hint=_FUNCTION,
        )
    return found


def _score(document: "Document", rank: int) -> float:
    score = document.metadata.get("score")
    return float(score) if isinstance(score, int | float) else 1.0 / rank


def _passage(document: "Document", score: float, source: str) -> Passage:
    text = document.page_content
    start = document.metadata.get("start_index")
    first = start if isinstance(start, int) and start >= 0 else 0
    return Passage(
        document=str(document.metadata.get("source") or document.id or source),
        start=first,
        end=first + len(text),
        text=text,
        score=float(score),
    )


def _document(passage: Passage) -> "Document":
    from langchain_core.documents import Document

    return Document(
        page_content=passage.text,
        metadata={
            "source": passage.document,
            "start_index": passage.start,
            "end_index": passage.end,
            "score": passage.score,
        },
    )
