"""The step that shows worked examples as chat turns.

It is handed a pool of training examples; it does not know items or splits.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from rag_adapt.core.trace import Event, Prepared
from rag_adapt.core.types import Draft, Example, content_hash


class NearestExamples(Protocol):
    """Finds the examples whose inputs are most like a question."""

    async def nearest(self, query: str, k: int) -> Sequence[Example]:
        """The `k` most similar examples, most similar first."""
        ...


@dataclass(frozen=True, kw_only=True)
class Demonstrate:
    """k worked examples before the question: the same for all, or the nearest to each."""

    k: int
    pool: tuple[Example, ...]
    """Training examples in a seeded order; `fixed` shows the first k."""
    pick: Literal["fixed", "nearest"] = "fixed"
    search: NearestExamples | None = field(default=None, repr=False)
    """Needed for `nearest`."""

    def spec(self) -> dict[str, object]:
        pool = content_hash([[e.input, e.output] for e in self.pool])
        return {"step": "demonstrate", "k": self.k, "pick": self.pick, "pool": pool}

    async def prepare(self, draft: Draft) -> Prepared:
        if self.pick == "nearest" and self.search is not None:
            found = await self.search.nearest(draft.input, self.k)
            shown = tuple(reversed(found))  # the most similar stands next to the question
        else:
            shown = self.pool[: self.k]
        detail = {**self.spec(), "shown": [e.input for e in shown]}
        return Prepared(
            draft=replace(draft, examples=shown), event=Event(name="demonstrate", detail=detail)
        )
