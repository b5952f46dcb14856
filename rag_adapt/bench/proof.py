"""Shows that an adapter is active before anything is scored with it.

It does not know how adapters are trained or loaded: it compares what the engine computes with
the references that were stored when the adapter was trained.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Protocol

from rag_adapt.adapters.check import weights_hash
from rag_adapt.adapters.probe import Probe, ProbePrompt
from rag_adapt.adapters.store import AdapterStore
from rag_adapt.core.errors import AdapterError, NoLogProbsError, NotProvenError

CheckName = Literal["hash", "template", "canary", "parity"]
CANARY_NOISE: Final = 3.0
"""How many times the run-to-run noise the distance to the base must exceed."""
CANARY_FLOOR: Final = 0.005
"""Nats per token below which nothing is told apart, however small the noise was."""
PARITY_NOISE: Final = 4.0
"""How many times the run-to-run noise the distance to the adapter's reference may reach."""
PARITY_FLOOR: Final = 0.05
"""Nats per token that kernels and number formats may differ by where the noise is smaller."""


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
    at_once: bool = False,
) -> Proof:
    """Check hash, chat template, canary and parity of an adapter that the engine has loaded.

    The figures are mean absolute differences in nats per token of the stored continuations. Both
    references are the stored ones: an engine that is wrong about its base is found out too.

    Args:
        version: The adapter.
        store: Where its references are.
        engine: Has loaded it.
        chat: What the engine renders with.
        at_once: Ask for all prompts together, where waiting is what takes time.

    Raises:
        AdapterError: there is no such version, or it has no readable card or probe.
    """
    card, probe = store.card(version), store.probe(version)

    async def figures(prompt: ProbePrompt) -> Sequence[float]:
        return await engine.logprobs_of_ids(prompt.prompt_ids, prompt.continuation_ids, version)

    checks = [
        check_hash(version, store.folder / version),
        check_template(card.chat_template_hash, chat.template_hash),
    ]
    try:
        if at_once:
            found = await asyncio.gather(*(figures(one) for one in probe.prompts))
        else:
            found = [await figures(one) for one in probe.prompts]
    except (NoLogProbsError, AdapterError) as error:
        checks += [Check(name="canary", passed=False, detail=error.fact)]
        return conclude(checks)
    return conclude([*checks, check_canary(found, probe), check_parity(found, probe)])


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
    allowed = min(max(PARITY_NOISE * probe.noise, PARITY_FLOOR), probe.effect / 2)
    detail = f"{distance:.4f} nats/token from PEFT's own pass, at most {allowed:.4f} allowed"
    return Check(name="parity", passed=distance <= allowed, detail=detail, figure=distance)


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
