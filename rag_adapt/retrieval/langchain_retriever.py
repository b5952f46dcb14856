"""Both ways between LangChain's retrievers and ours.

It does not know any vector store: users name a factory by import path, in settings or a flag and
nowhere else, because an import path runs code.
"""

import importlib
from typing import TYPE_CHECKING, Any

from rag_adapt.core.errors import SettingsError
from rag_adapt.core.types import Passage

if TYPE_CHECKING:
    from langchain_core.documents import Document
    from langchain_core.retrievers import BaseRetriever

    from rag_adapt.core.protocols import Retriever


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
            _passage(document, rank, self._source)
            for rank, document in enumerate(documents[:k], start=1)
        )


def load_retriever(import_path: str) -> LangChainRetriever:
    """Import `package.module:factory`, call it, and adapt the `BaseRetriever` that it returns.

    Raises:
        SettingsError: the path is not of that form, cannot be imported, or makes something else.
    """
    from langchain_core.retrievers import BaseRetriever

    factory = _factory(import_path)
    made = factory()
    if not isinstance(made, BaseRetriever):
        raise SettingsError(
            f"settings key 'retriever': {import_path!r} returned a {type(made).__name__}, not a "
            "LangChain BaseRetriever",
            hint="Return the result of a vector store's `.as_retriever()`.",
        )
    return LangChainRetriever(made, source=import_path)


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


def _factory(import_path: str) -> Any:
    module, _, name = import_path.partition(":")
    if not module or not name.isidentifier():
        raise SettingsError(
            f"settings key 'retriever': {import_path!r} is not `package.module:factory`",
            hint="Name a function without arguments that returns a LangChain BaseRetriever.",
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
            hint="Name a function without arguments that returns a LangChain BaseRetriever.",
        )
    return found


def _passage(document: "Document", rank: int, source: str) -> Passage:
    text = document.page_content
    start = document.metadata.get("start_index")
    first = start if isinstance(start, int) and start >= 0 else 0
    score = document.metadata.get("score")
    return Passage(
        document=str(document.metadata.get("source") or document.id or source),
        start=first,
        end=first + len(text),
        text=text,
        score=float(score) if isinstance(score, int | float) else 1.0 / rank,
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
