"""What the parts of retrieval ask of one another: one method each.

They do not know models, files or any index; numpy arrays are why they stand here, not in core.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

SearchMode = Literal["dense", "lexical", "fused"]
Backend = Literal["auto", "exact", "chroma", "chroma-server"]


@dataclass(frozen=True, kw_only=True)
class EmbedderIdentity:
    """Which weights an embedder has: two with the same hash give the same vectors."""

    name: str
    """As the user gave it, for reading and for commands in hints."""
    weights: str
    """Content hash of everything that determines the vectors."""


class Embedder(Protocol):
    """Turns texts into vectors."""

    @property
    def identity(self) -> EmbedderIdentity:
        """Known without loading the model."""
        ...

    def embed(self, texts: Sequence[str]) -> "Vectors":
        """One row per text: float32, shape (n, d), L2-normalised; blocking and thread-safe.

        Raises:
            MissingPackageError: the library behind it is not installed.
            CollectionError: the weights cannot be used for embedding.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class ChunkSpan:
    """A stretch of a text, in characters."""

    start: int
    end: int
    """One past the last character."""
    headings: tuple[str, ...] = ()
    """Titles above it, outermost first."""
    before: int = 0
    """Characters before its start that are embedded and searched for words with it."""
    after: int = 0
    """Characters after its end, likewise."""


class Chunker(Protocol):
    """Cuts texts into stretches that are embedded one by one."""

    def spec(self) -> dict[str, object]:
        """Plain JSON that determines the spans; part of a collection's hash."""
        ...

    def chunk(self, text: str) -> Sequence[ChunkSpan]:
        """Spans in order of their start; nothing where the text is blank."""
        ...


@dataclass(frozen=True, kw_only=True)
class Neighbour:
    """A chunk that was found."""

    chunk: int
    """The chunk's number in its record."""
    score: float
    """Higher is better; the scale is the index's own."""


class VectorIndex(Protocol):
    """Finds the chunks whose vectors are nearest."""

    def nearest(self, vector: "Vectors", k: int) -> tuple[Neighbour, ...]:
        """The `k` best by cosine, best first; ties by chunk number.

        Args:
            vector: shape (d,), L2-normalised.
            k: at least 1; fewer are returned where the index holds fewer.
        """
        ...

    def close(self) -> None:
        """Let go of files and locks; the index cannot be used afterwards."""
        ...
