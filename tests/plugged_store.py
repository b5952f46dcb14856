"""A Qdrant store that a flag can name: `tests.plugged_store:make`, and what a store may lack.

It does not know any test: it holds the chunks of the folder `corpus`, embedded by hashing.
"""

from pathlib import Path

from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_qdrant import QdrantVectorStore

from rag_adapt.retrieval.chunk import RecursiveChunker
from rag_adapt.retrieval.embed import HashingEmbedder

CORPUS = Path("corpus")


class Hashed(Embeddings):
    """Our embedder as LangChain's."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [[float(each) for each in row] for row in HashingEmbedder().embed(texts)]

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


def make() -> QdrantVectorStore:
    """What `--retriever` calls: a store on the disk, filled."""
    texts, metadatas = [], []
    for path in sorted(CORPUS.rglob("*.*")):
        text = path.read_text()
        for span in RecursiveChunker(tokens=20).chunk(text):
            texts.append(text[span.start : span.end])
            name = str(path.relative_to(CORPUS))
            metadatas.append({"source": name, "start_index": span.start, "score": 9.0})
    return QdrantVectorStore.from_texts(
        texts, Hashed(), metadatas=metadatas, path="qdrant", collection_name="manual"
    )


def without_relevance() -> InMemoryVectorStore:
    """A store that does not say how near its hits are."""
    return InMemoryVectorStore.from_texts(["first", "second"], Hashed())
