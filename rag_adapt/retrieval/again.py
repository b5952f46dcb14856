"""Makes the chunker that a collection was built with, from what its record says.

It does not know how chunkers cut.
"""

from collections.abc import Mapping

from rag_adapt.core.errors import CollectionError
from rag_adapt.retrieval.chunkers.registry import CHUNKERS
from rag_adapt.retrieval.protocols import Chunker, Embedder


def chunker_again(spec: Mapping[str, object], *, embedder: Embedder) -> Chunker:
    """The chunker whose spec this is.

    Args:
        spec: As the record has it.
        embedder: The collection's, for chunkers that ask one.

    Raises:
        CollectionError: there is none any more.
    """
    if (tokens := _tokens(spec)) is not None:
        for make in CHUNKERS.values():
            chunker = make(tokens, embedder)
            if chunker.spec() == spec:
                return chunker
    raise CollectionError(
        f"the collection was cut by a chunker that is not known here: {dict(spec)}",
        hint="Build it with one of ours: `rag-adapt index build NAME DIR --chunker NAME`.",
    )


def _tokens(spec: Mapping[str, object]) -> int | None:
    """The tokens of a chunk, wherever the spec says them."""
    if isinstance(tokens := spec.get("tokens"), int):
        return tokens
    inner = [value for value in spec.values() if isinstance(value, Mapping)]
    return next((tokens for each in inner if (tokens := _tokens(each)) is not None), None)
