"""Steps that put passages into the draft: retrieval and its three controls.

They do not know where passages are stored or how they are ranked.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from rag_adapt.core.protocols import Retriever
from rag_adapt.core.trace import Event, Prepared
from rag_adapt.core.types import Draft, LinkedPassage, Passage


@dataclass(frozen=True, kw_only=True)
class Retrieve:
    """The k best passages for the question."""

    collection: str
    """Name and content hash of the collection: part of the route's identity."""
    k: int
    mode: str
    """How it is searched: `dense`, `lexical`, `fused`, or a plugged-in retriever's path."""
    retriever: Retriever

    def spec(self) -> dict[str, object]:
        return {
            "step": "retrieve",
            "collection": self.collection,
            "k": self.k,
            "mode": self.mode,
        }

    async def prepare(self, draft: Draft) -> Prepared:
        passages = await self.retriever.search(draft.input, self.k)
        return _with_passages(draft, passages, self.spec())


@dataclass(frozen=True, kw_only=True)
class Oracle:
    """The gold passages: what retrieval would give if it were perfect."""

    def spec(self) -> dict[str, object]:
        return {"step": "oracle"}

    async def prepare(self, draft: Draft) -> Prepared:
        return _with_passages(draft, draft.gold, self.spec())


@dataclass(frozen=True, kw_only=True)
class Placebo:
    """The k best passages for another item's question: as much context, none of it meant."""

    collection: str
    k: int
    mode: str
    retriever: Retriever
    other_inputs: Mapping[str, str]
    """For each item's id, the input of an item of another cluster."""

    def spec(self) -> dict[str, object]:
        return {
            "step": "placebo",
            "collection": self.collection,
            "k": self.k,
            "mode": self.mode,
        }

    async def prepare(self, draft: Draft) -> Prepared:
        passages = await self.retriever.search(self.other_inputs[draft.item_id], self.k)
        return _with_passages(draft, passages, self.spec())


@dataclass(frozen=True, kw_only=True)
class WholeCorpus:
    """Every document, for a context that is long enough."""

    collection: str
    documents: tuple[Passage, ...]

    def spec(self) -> dict[str, object]:
        return {"step": "whole-corpus", "collection": self.collection}

    async def prepare(self, draft: Draft) -> Prepared:
        return _with_passages(draft, self.documents, self.spec())


def _with_passages(draft: Draft, passages: tuple[Passage, ...], spec: dict[str, Any]) -> Prepared:
    found = [_found(passage) for passage in passages]
    return Prepared(
        draft=replace(draft, passages=passages),
        event=Event(name="retrieve", detail={**spec, "passages": found}),
    )


def _found(passage: Passage) -> dict[str, Any]:
    """Where a passage stands, and by which link it was found where it was found by one."""
    place: dict[str, Any] = {
        "document": passage.document,
        "start": passage.start,
        "end": passage.end,
        "score": passage.score,
    }
    if isinstance(passage, LinkedPassage):
        place["via"] = asdict(passage.via)
    return place
