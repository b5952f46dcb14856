"""The step that answers with trained weights.

It does not know how adapters are trained, stored or swapped.
"""

from dataclasses import dataclass, replace

from rag_adapt.core.protocols import Adapters
from rag_adapt.core.trace import Event, Prepared
from rag_adapt.core.types import Draft


@dataclass(frozen=True, kw_only=True)
class Adapt:
    """Answer with an adapter; loaded if it is not resident."""

    adapter: str
    """Version `name@sha12`."""
    adapters: Adapters
    active: bool = True
    """False is the control arm `adapter-off`: loaded, but the base model answers."""

    def spec(self) -> dict[str, object]:
        return {"step": "adapt", "adapter": self.adapter, "active": self.active}

    async def prepare(self, draft: Draft) -> Prepared:
        loaded = await self.adapters.ensure_loaded(self.adapter)
        detail = {**self.spec(), "loaded": loaded.version, "rank": loaded.rank}
        if self.active:
            draft = replace(draft, adapter=loaded.version)
        else:
            draft = replace(draft, adapter_off=loaded.version)
        return Prepared(draft=draft, event=Event(name="adapt", detail=detail))
