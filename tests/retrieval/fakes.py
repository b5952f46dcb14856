"""An embedder that counts, and corpora written by hand.

It does not know the tests that use them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rag_adapt.retrieval.embed import HashingEmbedder
from rag_adapt.retrieval.protocols import EmbedderIdentity

if TYPE_CHECKING:
    from rag_adapt.retrieval.protocols import Vectors

MANUAL = {
    "care/cleaning.md": "# Cleaning\n\nRinse the kettle with vinegar.\n\n## Filter\n\nSoak it.\n",
    "filling.md": "# Filling\n\nThe kettle holds 1.7 litres of water.\n",
    "warranty.txt": "The warranty lasts three years.\n",
}


class CountingEmbedder:
    """Hashes words, and remembers every text that it was asked to embed."""

    def __init__(self, weights: str = "counting") -> None:
        self.texts: list[str] = []
        self._hashing = HashingEmbedder(dimensions=64)
        self._identity = EmbedderIdentity(name="counting", weights=weights)

    @property
    def identity(self) -> EmbedderIdentity:
        return self._identity

    def embed(self, texts: Sequence[str]) -> "Vectors":
        self.texts.extend(texts)
        return self._hashing.embed(texts)


def write_corpus(folder: Path, documents: Mapping[str, str | bytes] = MANUAL) -> Path:
    """Write files below `folder`, making folders as needed."""
    for name, content in documents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def numbered_corpus(folder: Path, count: int) -> Path:
    """As many one-chunk documents, no two alike."""
    return write_corpus(folder, {f"{n:04}.md": f"# Part {n}\n\nFact {n}." for n in range(count)})
