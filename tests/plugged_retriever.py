"""A LangChain retriever that a flag can name: `tests.plugged_retriever:make`."""

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever


class OneDocument(BaseRetriever):
    """Always finds the same document."""

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        return [Document(page_content=f"Plugged in for {query}", metadata={"source": "plug.md"})]


def make() -> OneDocument:
    """What `--retriever` calls."""
    return OneDocument()
