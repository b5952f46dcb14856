"""Embedders: sentence-transformers, one that needs no model, and a cache around either.

They do not know collections or where weights come from.
"""

import hashlib
import math
import re
import threading
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, runtime_checkable

from rag_adapt.core.errors import CollectionError, MissingPackageError
from rag_adapt.models.mean_of_bert import MeanOfBert
from rag_adapt.models.packages import quiet_transformers
from rag_adapt.models.processor import multiplies_bfloat16
from rag_adapt.retrieval.protocols import Embedder, EmbedderIdentity
from rag_adapt.retrieval.sqlite import close_with, open_writer, transaction, translated

if TYPE_CHECKING:
    import sqlite3

    from rag_adapt.retrieval.protocols import Vectors

BATCH: Final = 32
"""Texts that the library computes together."""
Precision = Literal["float32", "bfloat16"]
WantedPrecision = Literal["auto", "float32", "bfloat16"]
_TINY: Final = 1e-12
_LOOKUP: Final = 500
"""Keys per query; below SQLite's limit on variables."""
_WORD: Final = re.compile(r"\w+")
_CACHE_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS vectors (
    weights TEXT NOT NULL, text_hash TEXT NOT NULL, vector BLOB NOT NULL,
    PRIMARY KEY (weights, text_hash)
)
"""


class EmbedderFiles(Protocol):
    """What an embedder needs to know of its weights; `models` resolves names to it."""

    @property
    def name(self) -> str: ...
    @property
    def path(self) -> Path: ...
    @property
    def weights(self) -> str: ...


@runtime_checkable
class Adjustable(Protocol):
    """An embedder that can make vectors in more than one precision."""

    def suited_to(self, weights: str) -> Embedder:
        """The embedder of these weights where it can be that one, else itself."""
        ...


def suited(embedder: Embedder, weights: str) -> Embedder:
    """The embedder, in the precision of vectors that are there already.

    Args:
        embedder: Any; one whose precision the user chose stays as it is.
        weights: As a record has them.
    """
    return embedder.suited_to(weights) if isinstance(embedder, Adjustable) else embedder


def open_embedder(
    files: EmbedderFiles, *, device: str, cache_path: Path, precision: WantedPrecision = "auto"
) -> Embedder:
    """The embedder of a folder of weights, with its cache; nothing is loaded until it embeds.

    Args:
        files: name, folder and content hash of the weights.
        device: `auto`, `cpu` or `cuda`.
        cache_path: SQLite file of the cache; made when first needed.
        precision: See `SentenceTransformerEmbedder`.
    """
    model = SentenceTransformerEmbedder(
        path=files.path,
        weights=files.weights,
        name=files.name,
        device=device,
        precision=precision,
    )
    return CachedEmbedder(model, path=cache_path)


def text_hash(text: str) -> str:
    """SHA-256 of a text in UTF-8, as 64 hex digits: the key of its embedding."""
    return hashlib.sha256(text.encode()).hexdigest()


def shown(weights: str) -> str:
    """The beginning of an embedder's weights, and the precision where it is not `float32`.

    >>> shown("53aa51172d142c89-bfloat16")
    '53aa51172d14-bfloat16'
    """
    digits, *precision = weights.rsplit("-", 1) if weights.endswith("-bfloat16") else (weights,)
    return "-".join((digits[:12], *precision))


class SentenceTransformerEmbedder:
    """Any sentence-transformers model in a local folder; safetensors only, no remote code.

    Texts longer than the model's window are cut by the model.

    Args:
        path: The model's folder.
        weights: Content hash of the weights.
        name: As the user gave it.
        device: `auto`, `cpu` or `cuda`.
        precision: What the model computes in; `float32` is whatever it is stored in. Vectors in
            `bfloat16` are others (cosine 0.9999 to those of `float32`), and so is the identity.
            `auto` is bfloat16 where the processor multiplies it, but stays open: see `suited`.
    """

    def __init__(
        self,
        *,
        path: Path,
        weights: str,
        name: str,
        device: str = "auto",
        precision: WantedPrecision = "auto",
    ) -> None:
        chosen, other = _precisions(precision, device)
        exact = chosen == "float32"
        self._path = path
        self._device = None if device == "auto" else device
        self._precision = chosen
        self._identity = EmbedderIdentity(
            name=name, weights=weights if exact else f"{weights}-{chosen}"
        )
        self._twin = other and SentenceTransformerEmbedder(
            path=path, weights=weights, name=name, device=device, precision=other
        )
        self._encode: Callable[[list[str]], Vectors] | None = None
        self._lock = threading.Lock()

    @property
    def identity(self) -> EmbedderIdentity:
        """See `Embedder.identity`."""
        return self._identity

    def suited_to(self, weights: str) -> Embedder:
        """See `Adjustable.suited_to`."""
        twin = self._twin
        return self if twin is None or twin.identity.weights != weights else twin

    def embed(self, texts: Sequence[str]) -> "Vectors":
        """See `Embedder.embed`; texts of like length are computed together."""
        import numpy as np

        with self._lock:  # the tokenizer refuses two threads at once
            if self._encode is None:
                self._encode = self._load()
            found = self._encode(list(texts) or [""])[: len(texts)]
        norms = np.linalg.norm(found, axis=1, keepdims=True)
        rows: Vectors = found / np.maximum(norms, _TINY)
        return rows

    def _load(self) -> "Callable[[list[str]], Vectors]":
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as exc:
            raise MissingPackageError(
                f"embedding with {self._identity.name!r} needs sentence-transformers",
                hint="Install it: `pip install 'sentence-transformers>=6.2'`.",
            ) from exc
        dtype = {} if self._precision == "float32" else {"dtype": self._precision}
        try:
            with quiet_transformers():
                model = SentenceTransformer(
                    str(self._path),
                    device=self._device,
                    local_files_only=True,
                    trust_remote_code=False,
                    model_kwargs={"use_safetensors": True, **dtype},
                )
        except (OSError, ValueError, KeyError) as exc:
            raise CollectionError(
                f"embedder {self._identity.name!r} at {str(self._path)!r} cannot be loaded: {exc}",
                hint="Name a folder or hub id of a sentence-transformers model in safetensors "
                "(`rag-adapt models list` shows what is there).",
            ) from exc
        fast = self._precision == "bfloat16" and MeanOfBert.fits(model)
        return MeanOfBert(model) if fast else partial(_encoded, model)


def _precisions(wanted: WantedPrecision, device: str) -> tuple[Precision, Precision | None]:
    """The one to compute in, and the other one where the choice is left open."""
    if wanted != "auto":
        return wanted, None
    if device != "cuda" and multiplies_bfloat16():
        return "bfloat16", "float32"
    return "float32", "bfloat16"


def _encoded(model: Any, texts: list[str]) -> "Vectors":
    """As the library does it."""
    import numpy as np

    rows = model.encode(texts, batch_size=BATCH, show_progress_bar=False, normalize_embeddings=True)
    return np.asarray(rows, dtype=np.float32)


class HashingEmbedder:
    """Words and their three-letter pieces hashed into buckets: deterministic, without a model.

    It finds shared words and spellings, no meanings; for tests and the scripted engine.
    """

    def __init__(self, *, dimensions: int = 256) -> None:
        self._dimensions = dimensions
        self._identity = EmbedderIdentity(name="hashing", weights=f"hashing-{dimensions}-1")

    @property
    def identity(self) -> EmbedderIdentity:
        """See `Embedder.identity`."""
        return self._identity

    def embed(self, texts: Sequence[str]) -> "Vectors":
        """See `Embedder.embed`; a text without words is the first unit vector."""
        import numpy as np

        rows = np.zeros((len(texts), self._dimensions), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            for feature, weight in _features(text):
                bucket, sign = _bucket(feature, self._dimensions)
                row[bucket] += sign * weight
            norm = float(np.linalg.norm(row))
            if norm > 0:
                row /= norm
            else:
                row[0] = 1.0
        return rows


class CachedEmbedder:
    """Remembers vectors by weights and text in a SQLite file, for all processes that share it."""

    def __init__(self, embedder: Embedder, *, path: Path) -> None:
        self._embedder = embedder
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._twin: CachedEmbedder | None = None

    @property
    def identity(self) -> EmbedderIdentity:
        """See `Embedder.identity`."""
        return self._embedder.identity

    def suited_to(self, weights: str) -> Embedder:
        """See `Adjustable.suited_to`."""
        inner = suited(self._embedder, weights)
        if inner is self._embedder:
            return self
        with self._lock:
            if self._twin is None:
                self._twin = CachedEmbedder(inner, path=self._path)
            return self._twin

    def embed(self, texts: Sequence[str]) -> "Vectors":
        """See `Embedder.embed`; each different text goes to the model once, ever.

        Raises:
            StorageError: the cache's file cannot be written.
        """
        import numpy as np

        if not texts:
            return self._embedder.embed(texts)
        keys = [text_hash(text) for text in texts]
        with self._lock, translated(self._path):
            connection = self._open()
            known = self._known(connection, keys)
            missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
            if missing:
                rows = self._embedder.embed(list(missing.values()))
                fresh = {key: row.tobytes() for key, row in zip(missing, rows, strict=True)}
                self._remember(connection, fresh)
                known |= fresh
        return np.stack([np.frombuffer(known[key], dtype=np.float32) for key in keys])

    def _open(self) -> "sqlite3.Connection":
        if self._connection is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            connection = open_writer(self._path)
            close_with(self, connection)
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(_CACHE_SCHEMA)
            self._connection = connection
        return self._connection

    def _known(self, connection: "sqlite3.Connection", keys: Sequence[str]) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for first in range(0, len(keys), _LOOKUP):
            part = keys[first : first + _LOOKUP]
            marks = ",".join("?" * len(part))
            found.update(
                connection.execute(
                    "SELECT text_hash, vector FROM vectors "
                    f"WHERE weights = ? AND text_hash IN ({marks})",
                    (self.identity.weights, *part),
                )
            )
        return found

    def _remember(self, connection: "sqlite3.Connection", fresh: dict[str, bytes]) -> None:
        weights = self.identity.weights
        with transaction(connection):
            connection.executemany(
                "INSERT OR IGNORE INTO vectors VALUES (?, ?, ?)",
                [(weights, key, vector) for key, vector in fresh.items()],
            )


def _features(text: str) -> list[tuple[str, float]]:
    counts: dict[str, int] = {}
    for word in _WORD.findall(text.lower()):
        counts[word] = counts.get(word, 0) + 1
        padded = f"<{word}>"
        for first in range(len(padded) - 2):
            piece = f"#{padded[first : first + 3]}"
            counts[piece] = counts.get(piece, 0) + 1
    return [
        (feature, (1.0 + math.log(count)) * (0.3 if feature.startswith("#") else 1.0))
        for feature, count in counts.items()
    ]


@lru_cache(maxsize=100_000)
def _bucket(feature: str, dimensions: int) -> tuple[int, float]:
    number = int.from_bytes(hashlib.blake2b(feature.encode(), digest_size=8).digest())
    return (number >> 1) % dimensions, 1.0 if number & 1 else -1.0
