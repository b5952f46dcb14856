"""What may be done with ranked passages: keep some documents, ask a second model, avoid repeats.

It does not know how they were found or where texts and vectors are kept.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from rag_adapt.core.errors import CollectionError
from rag_adapt.core.types import Passage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rag_adapt.retrieval.protocols import Vectors

CANDIDATES: Final = 50
"""Passages that are read again or compared with one another, at least."""


class Reranker(Protocol):
    """Judges passages together with the question, slower and better than vectors can."""

    def scores(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        """One number per text, higher is better, on any scale; blocking."""
        ...


@dataclass(frozen=True, kw_only=True)
class Refinement:
    """What is done after ranking; nothing by default.

    Raises:
        CollectionError: at construction, if `diversity` is out of range.
    """

    only: tuple[str, ...] = ()
    """Documents that are kept: patterns of their paths with `*`, `?` and `[...]`, where `*` also
    goes through folders; all where there are none."""
    reranker: Reranker | None = None
    """Orders the best candidates anew and gives them its scores."""
    diversity: float = 0.0
    """From 0 (the best ones) to 1 (the most different ones): maximal marginal relevance."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.diversity <= 1.0:
            raise CollectionError(
                f"passages cannot be made different by {self.diversity!r}",
                hint="Give a number from 0 to 1: `--diversity 0.3`.",
            )

    def depth(self, k: int) -> int:
        """How many passages of kept documents must be ranked to return `k`."""
        return max(k, CANDIDATES) if self.reranker or self.diversity else k

    def keeps(self, document: str) -> bool:
        """Whether passages of this document are kept."""
        return not self.only or any(fnmatchcase(document, each) for each in self.only)


NOTHING: Final = Refinement()


def refined(
    query: str,
    found: Sequence[Passage],
    k: int,
    refinement: Refinement,
    vectors: Callable[[Sequence[int]], "Vectors"],
) -> tuple[Passage, ...]:
    """The `k` best passages after refinement, best first.

    Args:
        query: as it was asked.
        found: of kept documents, best first.
        k: at least 1.
        refinement: what to do.
        vectors: of the passages at these places of `found`, L2-normalised, shape (n, d).
    """
    order = list(range(len(found)))
    passages = list(found)
    if refinement.reranker is not None and passages:
        order = order[: max(k, CANDIDATES)]
        judged = refinement.reranker.scores(query, [passages[at].text for at in order])
        for at, score in zip(order, judged, strict=True):
            passages[at] = replace(passages[at], score=float(score))
        order.sort(key=lambda at: -passages[at].score)
    if refinement.diversity and order:
        order = order[: max(k, CANDIDATES)]
        relevance = np.array([passages[at].score for at in order], dtype=np.float64)
        picked = marginal_relevance(relevance, vectors(order), k, refinement.diversity)
        order = [order[at] for at in picked]
    return tuple(passages[at] for at in order[:k])


def marginal_relevance(
    relevance: "NDArray[np.float64]", vectors: "Vectors", k: int, diversity: float
) -> list[int]:
    """Places of `k` items, each the best of (1 - diversity) * relevance - diversity * likeness.

    Likeness is the highest cosine with an item that was picked before; relevance is brought to
    [0, 1], whatever its scale. Ties go to the earlier place.
    Source: Carbonell and Goldstein, "The use of MMR, diversity-based reranking for reordering
    documents and producing summaries", SIGIR 1998.

    Args:
        relevance: shape (n,).
        vectors: L2-normalised, shape (n, d).
        k: items to pick.
        diversity: in [0, 1].
    """
    spread = float(np.ptp(relevance))
    scaled = (relevance - relevance.min()) / spread if spread > 0.0 else np.ones(len(relevance))
    alike = np.zeros(len(relevance))
    picked: list[int] = []
    for _ in range(min(k, len(relevance))):
        value = (1.0 - diversity) * scaled - diversity * alike
        value[picked] = -np.inf
        best = int(np.argmax(value))
        likeness = (vectors @ vectors[best]).astype(np.float64)
        alike = likeness if not picked else np.maximum(alike, likeness)
        picked.append(best)
    return picked


class CrossEncoderReranker:
    """A sentence-transformers cross-encoder in a local folder; safetensors only, no remote code.

    Args:
        path: the folder.
        device: `auto`, `cpu` or `cuda`.
    """

    def __init__(self, path: Path, *, device: str = "auto") -> None:
        self._path = path
        self._device = None if device == "auto" else device
        self._model: Any = None

    def scores(self, query: str, texts: Sequence[str]) -> list[float]:
        """See `Reranker.scores`; the model is loaded when first asked.

        Raises:
            CollectionError: the folder holds no usable cross-encoder.
        """
        if self._model is None:
            self._model = self._load()
        judged = self._model.predict([(query, text) for text in texts], show_progress_bar=False)
        return [float(each) for each in np.asarray(judged).reshape(len(texts))]

    def _load(self) -> Any:
        from sentence_transformers import CrossEncoder

        try:
            return CrossEncoder(
                str(self._path),
                device=self._device,
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True},
            )
        except (OSError, ValueError, KeyError) as exc:
            raise CollectionError(
                f"{str(self._path)!r} cannot be loaded as a cross-encoder: {exc}",
                hint="Name a folder with a sentence-transformers cross-encoder in safetensors.",
            ) from exc
