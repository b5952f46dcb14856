"""The service without HTTP: the catalogue, the traces, and whether its parts are ready.

It does not know settings or clients.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from rag_adapt.adapters.card import Card
from rag_adapt.bench.store import Header, list_runs
from rag_adapt.core.errors import RagAdaptError, RunNotFoundError
from rag_adapt.serving.answering import TokenScores
from rag_adapt.serving.catalogue import Catalogue, Live
from rag_adapt.serving.conversations import ConversationBook
from rag_adapt.serving.names import AUTO, RouteName
from rag_adapt.serving.public import told, told_of_model
from rag_adapt.serving.traces import TraceBook
from rag_adapt.serving.watching import Stamp, folder_state
from rag_adapt.skills.load import Reading, SkillPlace, list_skills, read_skill
from rag_adapt.skills.skill import Skill

LOADING: Final = "the model is being loaded"
HOME_SECONDS: Final = 1.0
"""How long readiness waits for the traces; they may wait for another process."""


class ModelServer(Protocol):
    """A process that answers for this one; it may be away and come back."""

    @property
    def fault(self) -> str | None:
        """Why it cannot answer now; None while it can."""
        ...

    async def watch(self) -> None:
        """Look at it for ever, and bring it to what it ought to hold."""
        ...


@dataclass(frozen=True, kw_only=True)
class PartState:
    """One thing that answers depend on."""

    name: str
    ready: bool
    detail: str


@dataclass(frozen=True, kw_only=True)
class SkillEntry:
    """A skill's place, and the skill or why there is none."""

    place: SkillPlace
    skill: Skill | None
    fault: str | None

    @classmethod
    def of(cls, place: SkillPlace, reading: Reading) -> "SkillEntry":
        """What reading the skill's folder gave; of its faults the first three."""
        fault = "; ".join(f"{f.file}: {f.reason}" for f in reading.faults[:3]) or None
        return cls(place=place, skill=reading.skill, fault=fault)


@dataclass(frozen=True, kw_only=True)
class AdapterEntry:
    """An adapter's card, seen from this service."""

    card: Card
    current: bool
    """Whether its name points to it."""
    fits: bool
    """Whether it was trained on the weights that answer here."""


class Service:
    """What the endpoints ask.

    Args:
        live: What answers.
        traces: Where traces are kept.
        scores: Reads answers token by token; None where the engine cannot.
        warm: Loads the model; awaited once, by `start`.
        catalogue: Opens routes; made from `live` by default.
        conversations: Where conversations are kept; in the home of `live` by default.
        server: What answers, where that is not this process.
    """

    def __init__(
        self,
        live: Live,
        *,
        traces: TraceBook,
        scores: TokenScores | None,
        warm: Callable[[], Awaitable[object]],
        catalogue: Catalogue | None = None,
        conversations: ConversationBook | None = None,
        server: ModelServer | None = None,
    ) -> None:
        self.live = live
        self.traces = traces
        self.scores = scores
        self.catalogue = catalogue or Catalogue(live)
        self.conversations = conversations or ConversationBook(live.home)
        self.server = server
        self._warm = warm
        self._read: dict[Path, tuple[tuple[Stamp, ...], Reading]] = {}
        self._engine = PartState(name="engine", ready=False, detail=LOADING)

    async def start(self) -> None:
        """Load the model; afterwards `parts` says whether that worked.

        Raises:
            RagAdaptError: it cannot be loaded.
        """
        try:
            await self._warm()
        except RagAdaptError as error:
            self._engine = PartState(name="engine", ready=False, detail=told_of_model(error))
            raise
        fingerprint = self.live.engine.fingerprint
        detail = f"{fingerprint.engine}: {fingerprint.model} on {fingerprint.device}"
        self._engine = PartState(name="engine", ready=True, detail=detail)

    async def parts(self) -> tuple[PartState, ...]:
        """What answers depend on, each ready or not."""
        engine = self._engine
        fault = None if self.server is None else self.server.fault
        if fault is not None:
            engine = PartState(name="engine", ready=False, detail=fault)
        return (engine, await self._home())

    async def models(self) -> tuple[str, ...]:
        """Every name that a client can put into `model` now."""
        return await asyncio.to_thread(self._models)

    async def skills(self) -> tuple[SkillEntry, ...]:
        """All skills, those that cannot be used included."""
        return await asyncio.to_thread(self._skills)

    async def adapters(self) -> tuple[AdapterEntry, ...]:
        """All adapters with a readable card."""
        return await asyncio.to_thread(self._adapters)

    async def _home(self) -> PartState:
        try:
            async with asyncio.timeout(HOME_SECONDS):
                await self.traces.find("")
        except RagAdaptError as error:
            return PartState(name="home", ready=False, detail=told(error).fact)
        except TimeoutError:  # answers go out meanwhile, and say so
            return PartState(name="home", ready=True, detail="busy: traces may not be kept")
        return PartState(name="home", ready=True, detail="traces can be read")

    def _models(self) -> tuple[str, ...]:
        cards = {entry.card.name: entry for entry in self._adapters() if entry.current}
        finished = [header for header in self._headers() if header.state == "complete"]
        names = [self.catalogue.plain_name]
        for entry in self._skills():
            if entry.skill is not None:
                routes = self._routes(entry.skill, cards, finished)
                names += [str(RouteName(route=r, subject=entry.skill.name)) for r in routes]
        return tuple(names)

    def _routes(
        self, skill: Skill, cards: dict[str, AdapterEntry], finished: list[Header]
    ) -> list[str]:
        plain = cards.get(skill.name)
        context = cards.get(f"{skill.name[:40]}-context")
        weights = self.live.engine.fingerprint.weights
        told = any(
            header.plan.get("skills", {}).get(skill.name) == skill.data_hash
            and weights in header.plan.get("model", ())
            for header in finished
        )
        readable = skill.corpus is not None
        there = {
            "prompt": True,
            "rag": readable,
            "lora": plain is not None and plain.fits,
            "rag+lora": readable and context is not None and context.fits,
            AUTO: told,
        }
        return [route for route, yes in there.items() if yes]

    def _headers(self) -> list[Header]:
        found = []
        for folder in list_runs(self.live.home / "runs"):
            try:
                found.append(folder.header)
            except RunNotFoundError:
                continue  # a damaged run recommends nothing; `runs list` shows it
        return found

    def _skills(self) -> tuple[SkillEntry, ...]:
        places = list_skills(self.live.home)
        return tuple(SkillEntry.of(place, self._reading(place.folder)) for place in places)

    def _reading(self, folder: Path) -> Reading:
        """A skill's folder, read again only where a file of it changed."""
        state = folder_state(folder)
        known = self._read.get(folder)
        if known is None or known[0] != state:
            known = self._read[folder] = (state, read_skill(folder))
        return known[1]

    def _adapters(self) -> tuple[AdapterEntry, ...]:
        store, weights = self.live.store, self.live.engine.fingerprint.weights
        return tuple(
            AdapterEntry(
                card=card,
                current=store.current(card.name) == card.version,
                fits=card.weights_hash == weights,
            )
            for card in store.list()
        )
