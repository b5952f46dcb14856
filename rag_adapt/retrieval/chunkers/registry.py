"""Every way of cutting, by name.

It does not know collections. A new one is its own file and one line of `CHUNKERS`.
"""

from collections.abc import Callable
from typing import Final

from rag_adapt.core.errors import CollectionError
from rag_adapt.retrieval.chunk import RecursiveChunker
from rag_adapt.retrieval.chunkers.fixed import FixedChunker
from rag_adapt.retrieval.chunkers.packing import PackingChunker
from rag_adapt.retrieval.chunkers.shuffled import RandomChunker
from rag_adapt.retrieval.chunkers.tension import TensionChunker
from rag_adapt.retrieval.chunkers.windows import WindowChunker
from rag_adapt.retrieval.protocols import Chunker, Embedder

DEFAULT: Final = "recursive"

CHUNKERS: Final[dict[str, Callable[[int, Embedder], Chunker]]] = {
    "recursive": lambda tokens, _: RecursiveChunker(tokens=tokens),
    "windows": lambda tokens, _: WindowChunker(of=RecursiveChunker(tokens=tokens)),
    "packing": lambda tokens, _: PackingChunker(tokens=tokens),
    "fixed": lambda tokens, _: FixedChunker(tokens=tokens),
    "tension": lambda tokens, _: TensionChunker(tokens=tokens),
    "tension-embedded": lambda tokens, model: TensionChunker(tokens=tokens, embedder=model),
    "random": lambda tokens, _: RandomChunker(like=TensionChunker(tokens=tokens)),
    "random-embedded": lambda tokens, model: RandomChunker(
        like=TensionChunker(tokens=tokens, embedder=model)
    ),
}
"""From the tokens of a chunk and the collection's embedder."""


def chunker_named(name: str, *, tokens: int, embedder: Embedder) -> Chunker:
    """The chunker of that name.

    Raises:
        CollectionError: there is none, or `tokens` is out of range.
    """
    if name not in CHUNKERS:
        raise CollectionError(
            f"there is no chunker {name!r}",
            hint=f"Choose one of {', '.join(CHUNKERS)}: `--chunker {DEFAULT}`.",
        )
    return CHUNKERS[name](tokens, embedder)
