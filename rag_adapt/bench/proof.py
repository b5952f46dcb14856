"""Shows that an adapter is active before anything is scored with it.

It does not know how adapters are trained or loaded: it compares what the engine computes with
the references that were stored when the adapter was trained.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Final, Literal, Protocol

from rag_adapt.adapters.check import weights_hash
from rag_adapt.adapters.probe import OUTSIDE, Probe, ProbePrompt
from rag_adapt.adapters.store import AdapterStore
from rag_adapt.core.errors import AdapterError, NoLogProbsError, NotProvenError

CheckName = Literal["hash", "template", "canary", "parity"]
CANARY_NOISE: Final = 3.0
"""How many times the run-to-run noise the distance to the base must exceed."""
CANARY_FLOOR: Final = 0.005
"""Nats per token below which nothing is told apart, however small the noise was."""
NEAR: Final = 0.75
"""A first look proves where the distance to the adapter's reference is at most this share of what
parity allows. What computes the base is then three times as far off, as `DECISIVE` sees to."""
FAR: Final = 1.25
"""It refuses where the distance is above this many times what parity allows."""
MOST: Final = 4
"""Prompts of a first look, at most."""
FIRST: Final = (2, 3, 4, 8, 16)
"""Tokens of each that it may compare: the first ones differ most between base and adapter."""


class IdLogProbs(Protocol):
    """Scores given tokens."""

    async def logprobs_of_ids(
        self, prompt_ids: Sequence[int], continuation_ids: Sequence[int], adapter: str | None = None
    ) -> Sequence[float]:
        """Natural-log probability of each continuation token, under an adapter or the base."""
        ...


class Templated(Protocol):
    """Knows which chat template it renders with."""

    @property
    def template_hash(self) -> str:
        """Content hash of the template."""
        ...


@dataclass(frozen=True, kw_only=True)
class Check:
    """One of the four things that must hold."""

    name: CheckName
    passed: bool
    detail: str
    """What was compared, with both values."""
    figure: float | None = None
    """Nats per token, for canary and parity."""


@dataclass(frozen=True, kw_only=True)
class Proof:
    """Whether an adapter may be scored."""

    proven: bool
    checks: tuple[Check, ...]
    reason: str | None
    """Why not; None if proven."""

    def require(self) -> None:
        """Stop unless proven.

        Raises:
            NotProvenError: with the reason.
        """
        if not self.proven:
            raise NotProvenError(
                f"the adapter was not shown to be active: {self.reason}",
                hint="Its answers must not be scored. Load it again, or train it again with "
                "`rag-adapt adapters train SKILL`.",
            )


async def prove(
    version: str,
    *,
    store: AdapterStore,
    engine: IdLogProbs,
    chat: Templated,
    quickly: bool = False,
) -> Proof:
    """Check hash, chat template, canary and parity of an adapter that the engine has loaded.

    The figures are mean absolute differences in nats per token of the stored continuations. Both
    references are the stored ones: an engine that is wrong about its base is found out too.

    Args:
        version: The adapter.
        store: Where its references are.
        engine: Has loaded it.
        chat: What the engine renders with.
        quickly: Ask for prompts together, and for those that can decide first: where waiting is
            what takes time.

    Raises:
        AdapterError: there is no such version, or it has no readable card or probe.
    """
    card, probe = store.card(version), store.probe(version)
    checks = [
        check_hash(version, store.folder / version),
        check_template(card.chat_template_hash, chat.template_hash),
    ]
    try:
        look = await _look(version, probe, engine=engine, quickly=quickly)
    except (NoLogProbsError, AdapterError) as error:
        checks += [Check(name="canary", passed=False, detail=error.fact)]
        return conclude(checks)
    canary, parity = check_canary(look.found, look.asked), check_parity(look.found, look.asked)
    return conclude([*checks, canary, parity])


@dataclass(frozen=True, kw_only=True)
class _Look:
    """What was asked, and what the engine computed."""

    asked: Probe
    found: tuple[Sequence[float], ...]

    @property
    def is_clear(self) -> bool:
        """Whether it is far from the border on either side."""
        distance = _distance(self.found, [prompt.adapter for prompt in self.asked.prompts])
        return not NEAR * self.asked.allowed < distance <= FAR * self.asked.allowed


async def _look(version: str, probe: Probe, *, engine: IdLogProbs, quickly: bool) -> _Look:
    """What the engine says to all prompts; quickly, to the part that can decide, if that does."""

    async def figures(prompt: ProbePrompt) -> Sequence[float]:
        return await engine.logprobs_of_ids(prompt.prompt_ids, prompt.continuation_ids, version)

    async def asked(part: Probe) -> _Look:
        if quickly:
            found = await asyncio.gather(*map(figures, part.prompts))
        else:
            found = [await figures(prompt) for prompt in part.prompts]
        return _Look(asked=part, found=tuple(found))

    first = first_look(probe) if quickly else None
    if first is not None and (look := await asked(first)).is_clear:
        return look
    return await asked(probe)


def first_look(probe: Probe) -> Probe | None:
    """The cheapest part that can decide; None where all must be asked.

    Some of its prompts are the skill's and some are not, where the probe has both: adapters that
    learned the same answers differ on those alone.
    """
    places = range(len(probe.prompts))
    parts = [
        probe.part(chosen, first=tokens)
        for count in range(1, min(MOST, len(places)) + 1)
        for chosen in combinations(places, count)
        for tokens in FIRST
    ]
    for part in sorted(parts, key=lambda part: part.cost):
        if part.decides and _kinds(part) == _kinds(probe):
            return part if part.cost < probe.cost else None
    return None


def _kinds(probe: Probe) -> frozenset[bool]:
    """Whether prompts are general ones: both, or one of the two."""
    return frozenset(prompt.item.startswith(OUTSIDE) for prompt in probe.prompts)


def declared(version: str, claimed: str) -> Proof:
    """The proof of an engine without weights: the hash that it declares is the version's."""
    wanted = version.rpartition("@")[2]
    detail = f"declared {claimed}, the name carries {wanted}"
    return conclude([Check(name="hash", passed=claimed == wanted, detail=detail)])


def not_provable(version: str, *, engine: str) -> Proof:
    """No proof: the engine gives no log-probabilities, so nothing can be compared."""
    reason = f"engine {engine!r} gives no log-probabilities, so {version} cannot be checked"
    return Proof(proven=False, checks=(), reason=reason)


def conclude(checks: Sequence[Check]) -> Proof:
    """Proven if every check passed; the reason names those that did not."""
    failed = [f"{check.name}: {check.detail}" for check in checks if not check.passed]
    return Proof(proven=not failed, checks=tuple(checks), reason="; ".join(failed) or None)


def check_hash(version: str, folder: Path) -> Check:
    """The name carries the content hash of the weights, computed again."""
    wanted, found = version.rpartition("@")[2], weights_hash(folder)
    detail = f"the weights hash to {found}, the name carries {wanted}"
    return Check(name="hash", passed=found == wanted, detail=detail)


def check_template(trained: str, served: str) -> Check:
    """Training and serving turn messages into tokens by the same template, byte for byte."""
    detail = f"trained with chat template {trained}, served with {served}"
    return Check(name="template", passed=trained == served, detail=detail)


def check_canary(found: Sequence[Sequence[float]], probe: Probe) -> Check:
    """The engine's figures differ from the base model's: the adapter does something.

    So must the stored references: an adapter without effect cannot be seen to be active.
    """
    distance = _distance(found, [prompt.base for prompt in probe.prompts])
    needed = max(CANARY_NOISE * probe.noise, CANARY_FLOOR)
    detail = (
        f"{distance:.4f} nats/token from the base (the stored adapter {probe.effect:.4f}), "
        f"more than {needed:.4f} needed"
    )
    passed = min(distance, probe.effect) > needed
    return Check(name="canary", passed=passed, detail=detail, figure=distance)


def check_parity(found: Sequence[Sequence[float]], probe: Probe) -> Check:
    """The engine's figures are those of this adapter, and not of another one.

    At most half of the way to the base is allowed, so an engine that answers as the base, or
    between the two, never passes.
    """
    distance = _distance(found, [prompt.adapter for prompt in probe.prompts])
    detail = (
        f"{distance:.4f} nats/token from PEFT's own pass over {probe.tokens} tokens, at most "
        f"{probe.allowed:.4f} allowed"
    )
    return Check(name="parity", passed=distance <= probe.allowed, detail=detail, figure=distance)


def _distance(found: Sequence[Sequence[float]], stored: Sequence[Sequence[float]]) -> float:
    """Mean absolute difference per token; infinite where the engine left tokens out."""
    if [len(row) for row in found] != [len(row) for row in stored]:
        return float("inf")
    moved = [
        abs(one - other)
        for row, reference in zip(found, stored, strict=True)
        for one, other in zip(row, reference, strict=True)
    ]
    return sum(moved) / len(moved)
