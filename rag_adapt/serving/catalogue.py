"""Opens routes when they are first asked for and keeps them while nothing under them changes.

It does not know HTTP or settings; what answers is handed in. It never trains.
"""

import asyncio
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from rag_adapt.adapters.card import Card
from rag_adapt.adapters.store import AdapterStore
from rag_adapt.bench.arms import ARMS, Search
from rag_adapt.bench.proof import Proof
from rag_adapt.bench.reference import Embeds
from rag_adapt.core.errors import AdapterError, ModelNotFoundError, NotProvenError
from rag_adapt.core.protocols import Adapters, Engine
from rag_adapt.serving.names import AUTO, LIST, RouteName, parse, shown
from rag_adapt.serving.recommended import Advice, Now, latest
from rag_adapt.serving.served import (
    Kit,
    Served,
    as_measured,
    check_template,
    first_setup,
    plain,
)
from rag_adapt.serving.watching import State, runs_state, skill_state, store_state
from rag_adapt.skills.load import find_skill, list_skills
from rag_adapt.skills.skill import Skill

KEPT: Final = 256
"""Routes kept open; the one that was asked for longest ago goes first."""
FRESH: Final = 1.0
"""Seconds for which a kept route is trusted without a look at the files under it."""


@dataclass(frozen=True, kw_only=True)
class Live:
    """What answers: the service's engine, its adapters and where things lie."""

    engine: Engine
    adapters: Adapters
    embedder: Embeds
    store: AdapterStore
    home: Path
    index: Callable[[Skill], Search]
    """A skill's documents ready to be searched, brought up to date first. Blocking."""
    prove: Callable[[str], Coroutine[Any, Any, Proof]]


class Watcher(Protocol):
    """Told of what happens to adapters."""

    def swap(self, *, adapter: str, kind: Literal["load"], succeeded: bool) -> None:
        """An adapter was made ready, or could not be."""
        ...

    def proof_failed(self, *, adapter: str) -> None:
        """An adapter was not shown to be active."""
        ...


@dataclass(frozen=True, kw_only=True)
class _Kept:
    served: Served
    state: State
    looked: float
    """When its state was last looked at, on a monotonic clock."""


class Catalogue:
    """The routes that clients may name.

    Args:
        live: What answers.
        fresh: Seconds between two looks at the files under a kept route.
    """

    def __init__(self, live: Live, *, fresh: float = FRESH) -> None:
        self.live = live
        self.watcher: Watcher | None = None
        """Told of swaps and failed proofs, if there is one."""
        self._fresh = fresh
        self._kept: OrderedDict[RouteName, _Kept] = OrderedDict()
        self._opening: dict[RouteName, asyncio.Task[Served]] = {}
        self._indexing: dict[str, threading.Lock] = {}
        self._searches: dict[str, tuple[State, Search]] = {}

    @property
    def plain_name(self) -> str:
        """The engine model's own name."""
        return self.live.engine.fingerprint.model

    async def open(self, model: str) -> Served:
        """The route that a client names, ready: indexed, its adapter loaded and proven.

        Raises:
            ModelNotFoundError: no such route, skill or model; or nothing is recommended.
            AdapterError: the skill has no adapter that fits.
            NotProvenError: its adapter was not shown to be active.
        """
        name = parse(model)
        if name is None:
            return self._plain(model)
        kept = self._kept.get(name)
        if kept is not None and time.monotonic() - kept.looked < self._fresh:
            return kept.served
        return await self._look(name)

    def _plain(self, model: str) -> Served:
        if model != self.plain_name:
            raise ModelNotFoundError(
                f"there is no model {shown(model)!r}; the engine's is {self.plain_name!r}",
                hint=f"Name that one, or a route: `route:prompt/SKILL`. {LIST}",
            )
        return plain()

    async def _look(self, name: RouteName) -> Served:
        """Join whoever opens this route already; a client that leaves does not stop it.

        What indexes or loads goes on in a thread whatever becomes of its client: without the
        shield the next request would begin beside it.
        """
        task = self._opening.get(name)
        if task is None:
            task = self._opening[name] = asyncio.create_task(self._open(name))
            task.add_done_callback(lambda done: self._opened(name, done))
        return await asyncio.shield(task)

    def _opened(self, name: RouteName, task: "asyncio.Task[Served]") -> None:
        self._opening.pop(name, None)
        if not task.cancelled():
            task.exception()  # seen, also where every client has left

    async def _open(self, name: RouteName) -> Served:
        skill = await asyncio.to_thread(self._skill_name, name)
        state = await asyncio.to_thread(self._state, skill)
        kept = self._kept.get(name)
        served = kept.served if kept and kept.state == state else await self._build(name, skill)
        self._keep(name, _Kept(served=served, state=state, looked=time.monotonic()))
        return served

    def _keep(self, name: RouteName, kept: _Kept) -> None:
        self._kept[name] = kept
        self._kept.move_to_end(name)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)

    def _skill_name(self, name: RouteName) -> str:
        """The skill that is meant: named itself, or by an adapter of it."""
        known = {place.name for place in list_skills(self.live.home)}
        if name.subject in known:
            return name.subject
        if name.route != AUTO and ARMS[name.route].adapter is not None:
            card = self._card(name.subject)
            if card is not None and card.skill in known:
                return card.skill
        raise ModelNotFoundError(
            f"there is no skill {shown(name.subject)!r}; known: {', '.join(sorted(known))}",
            hint=f"{LIST} Import a skill with `rag-adapt skills import FILE --name NAME`.",
        )

    def _card(self, subject: str) -> Card | None:
        """The card of an adapter's name or version; None where there is none."""
        try:
            return self.live.store.card(self.live.store.find(subject))
        except AdapterError:
            return None

    def _state(self, skill: str) -> State:
        return (
            skill_state(skill, self.live.home),
            runs_state(self.live.home / "runs"),
            store_state(self.live.store.folder),
        )

    async def _build(self, name: RouteName, skill_name: str) -> Served:
        skill = await asyncio.to_thread(find_skill, skill_name, self.live.home)
        if name.route == AUTO:
            served = await self._recommended(skill)
        elif ARMS[name.route].adapter is None:
            served = await self._tuned(skill, name.route)
        else:
            served = await self._adapted(skill, name)
        if served.adapter is None:
            return served
        return replace(served, proof=await self._make_ready(served.adapter))

    async def _make_ready(self, adapter: str) -> Proof:
        """Prove and load an adapter before its first answer.

        Raises:
            NotProvenError: it was not shown to be active.
            AdapterError: it does not fit the engine's model.
        """
        ready = False
        try:
            proof = await self.live.prove(adapter)
            proof.require()
            await self.live.adapters.ensure_loaded(adapter)
            ready = True
            return proof
        except NotProvenError:
            if self.watcher is not None:
                self.watcher.proof_failed(adapter=adapter)
            raise
        finally:
            if self.watcher is not None:
                self.watcher.swap(adapter=adapter, kind="load", succeeded=ready)

    async def _recommended(self, skill: Skill) -> Served:
        advice = await self._latest(skill)
        route = advice.recommendation.route or ""
        kit = await self._kit(skill, documents=ARMS[route].corpus)
        return await asyncio.to_thread(self._measured, kit, route, advice)

    async def _tuned(self, skill: Skill, arm: str) -> Served:
        """As the latest run that holds measured it; else the skill's first setup."""
        kit = await self._kit(skill, documents=ARMS[arm].corpus)
        try:
            advice = await self._latest(skill)
            return await asyncio.to_thread(self._measured, kit, arm, advice)
        except ModelNotFoundError:
            return first_setup(kit, arm)

    async def _latest(self, skill: Skill) -> Advice:
        live = self.live
        now = Now(
            skill=skill,
            weights=live.engine.fingerprint.weights,
            collection=lambda: None if skill.corpus is None else self._search(skill).collection,
            store=live.store,
        )
        return await asyncio.to_thread(latest, now, live.home / "runs")

    def _measured(self, kit: Kit, arm: str, advice: Advice) -> Served:
        measured = advice.measured(arm)
        if measured is None:
            raise ModelNotFoundError(
                f"run {advice.header.id} has no answer of route {arm!r} for {kit.skill.name!r}",
                hint=f"Measure it: `rag-adapt bench {kit.skill.name}`.",
            )
        return as_measured(kit, measured, advice)

    async def _adapted(self, skill: Skill, name: RouteName) -> Served:
        kit = await self._kit(skill, documents=ARMS[name.route].corpus)
        card = await asyncio.to_thread(self._adapter_of, skill, name)
        served = first_setup(kit, name.route, adapter=card.version)
        check_template(served, card.template_hash)
        return served

    def _adapter_of(self, skill: Skill, name: RouteName) -> Card:
        """The adapter that is named, or the skill's current one.

        Raises:
            AdapterError: there is none, or it was trained for the other kind of prompt.
        """
        wants = ARMS[name.route].adapter == "context"
        suffix = "-context" if wants else ""
        current = f"{skill.name[: 48 - len(suffix)]}{suffix}"
        card = self._card(current if name.subject == skill.name else name.subject)
        train = f"`rag-adapt adapters train {skill.name}{' --context' if wants else ''}`"
        if card is None:
            raise AdapterError(
                f"skill {skill.name!r} has no current adapter for route {name.route!r}, and a "
                "request never trains one",
                hint=f"Train it first: {train}.",
            )
        if card.with_context != wants:
            other = "lora" if wants else "rag+lora"
            raise AdapterError(
                f"adapter {card.version!r} was trained {_how(card)}, which route {name.route!r} "
                "does not send",
                hint=f"Ask for `route:{other}/{card.version}`, or train another: {train}.",
            )
        return card

    async def _kit(self, skill: Skill, *, documents: bool) -> Kit:
        search = None
        if documents and skill.corpus is not None:
            search = await asyncio.to_thread(self._search, skill)
        live = self.live
        return Kit(skill=skill, adapters=live.adapters, embedder=live.embedder, search=search)

    def _search(self, skill: Skill) -> Search:
        """Its documents, brought up to date by one thread at a time. Blocking."""
        with self._indexing.setdefault(skill.name, threading.Lock()):
            state = skill_state(skill.name, self.live.home)
            known = self._searches.get(skill.name)
            if known is None or known[0] != state:
                known = self._searches[skill.name] = (state, self.live.index(skill))
            return known[1]


def _how(card: Card) -> str:
    return "with retrieved passages" if card.with_context else "without passages"
