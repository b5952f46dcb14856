"""Chooses rank, learning rate and general share by successive halving on dev code length.

It does not know skills or test items: a plan carries dev rows, and only those choose.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from random import Random
from typing import Final

from rag_adapt.adapters import lora
from rag_adapt.adapters.card import Trial
from rag_adapt.adapters.checkpoint import Unfinished
from rag_adapt.adapters.fit import fit
from rag_adapt.adapters.general_data import GeneralRow, with_general
from rag_adapt.adapters.plan import Base, TrainPlan
from rag_adapt.adapters.store import AdapterStore
from rag_adapt.adapters.train import load, refuse_long, require, tokens_of, unfinished
from rag_adapt.adapters.watch import Start
from rag_adapt.core.errors import AdapterError
from rag_adapt.core.protocols import Progress
from rag_adapt.models.chat import ChatFormat
from rag_adapt.models.loading import LoadedModel

RANKS: Final = (4, 8, 16)
RATES: Final = (2e-4, 5e-4, 1e-3)
SHARES: Final = (0.0, 0.05)
KEPT_OF: Final = 3
"""One of so many candidates goes on to the next rung (eta of Li et al. 2018, Hyperband)."""
BUDGET: Final = 3.0
"""What the search may cost beside the winner's own training, in full trainings."""


@dataclass(frozen=True, kw_only=True)
class Rung:
    """One round of a search."""

    candidates: int
    until: int
    """The step that each of them is trained to; earlier rungs count."""


@dataclass(frozen=True, kw_only=True)
class Swept:
    """What a search found."""

    winner: TrainPlan
    trials: tuple[Trial, ...]
    """Best first: those that got furthest, then by code length."""


def candidates(plan: TrainPlan, general: Sequence[GeneralRow]) -> tuple[TrainPlan, ...]:
    """The plan with every combination of knobs; the default one first, the others shuffled.

    Args:
        plan: Whose seed shuffles; where a budget allows fewer, the first ones are tried.
        general: Rows for the shares; without any, only share 0 is tried.
    """
    shares = SHARES if general else SHARES[:1]
    found = [
        replace(with_general(plan, share, general), rank=rank, alpha=2 * rank, learning_rate=rate)
        for rank, rate, share in product(RANKS, RATES, shares)
    ]
    Random(plan.seed).shuffle(found)
    default = [made for made in found if _knobs(made) == (8, 5e-4, 0.0)]
    return (*default, *(made for made in found if made not in default))


def rungs(count: int, steps: int, budget: float) -> tuple[Rung, ...]:
    """Successive halving (Jamieson and Talwalkar 2016): each rung gets an equal part of the budget.

    Args:
        count: Candidates there are; fewer are tried where the budget has no step for each.
        steps: Of one full training.
        budget: Full trainings that all rungs together may cost.

    Raises:
        AdapterError: the budget is not enough to compare two.
    """
    total = int(budget * steps)
    while count > 1 and total // _rounds(count) < count:
        count -= 1
    if count < 2:
        raise AdapterError(
            f"a budget of {budget:g} trainings of {steps} steps cannot compare anything",
            hint="Give more with --budget, or more training items with --examples.",
        )
    share, until, found = total // _rounds(count), 0, []
    while count > 1:
        until = min(steps, until + share // count)
        found.append(Rung(candidates=count, until=until))
        count = math.ceil(count / KEPT_OF)
    return tuple(found)


def _rounds(count: int) -> int:
    rounds = 0
    while count > 1:
        count, rounds = math.ceil(count / KEPT_OF), rounds + 1
    return rounds


def sweep(
    plan: TrainPlan,
    *,
    general: Sequence[GeneralRow] = (),
    base: Base,
    chat: ChatFormat,
    store: AdapterStore,
    progress: Progress,
    budget: float = BUDGET,
    check_memory: bool = True,
) -> Swept:
    """Try combinations on dev and say which is best; the winner then only has to be finished.

    Trials pause at each rung and go on from there. Interrupted, the same sweep goes on too; the
    winner's checkpoint stays for `train.train`, the others' are removed.

    Args:
        plan: What to learn; its rank, rate and share are replaced.
        general: For the shares.
        base: The model to adapt, loaded once.
        chat: Its chat format.
        store: Where checkpoints lie.
        progress: Stage `sweep`, one unit per optimizer step of any trial.
        budget: In full trainings.
        check_memory: Estimate the memory of the largest first.

    Raises:
        AdapterError: there are no dev rows, the budget is too small, memory too, or every trial
            diverged.
    """
    if not plan.dev:
        raise AdapterError(
            f"a sweep for {plan.name!r} has no dev items to choose by",
            hint="Mark some items with split dev (`rag-adapt skills import` has --split-ratio), or "
            "choose knobs yourself with --rank, --lr and --general-share.",
        )
    found = candidates(plan, general)
    rounds = rungs(len(found), min(made.steps for made in found), budget)
    largest = max(found, key=lambda made: (made.rank, len(made.general)))
    tokens = tokens_of(largest, chat)
    require(largest, tokens, base, check_memory=check_memory)
    with store.workspace() as work:
        loaded = load(base)
        refuse_long(largest, tokens, loaded.context)
        search = _Search(loaded, base, chat, store, work, _Counted(progress, rounds))
        trials = _halve(found, rounds, search)
        best = min(trials, key=lambda place: _standing(trials[place]))
        if trials[best].bits is None:
            raise AdapterError(
                f"every training of the sweep for {plan.name!r} diverged",
                hint="Choose a lower rate yourself: --lr 5e-5, without --sweep.",
            )
        for place, made in enumerate(found):
            if place != best:
                search.place(made).remove()
    trials[best] = trials[best].model_copy(update={"chosen": True})
    return Swept(winner=found[best], trials=tuple(sorted(trials.values(), key=_standing)))


def _halve(
    found: Sequence[TrainPlan], rounds: Sequence[Rung], search: "_Search"
) -> dict[int, Trial]:
    """The last figure of every candidate that was tried, by its place."""
    alive, trials = list(range(len(found))), dict[int, Trial]()
    for rung in rounds:
        alive = alive[: rung.candidates]
        for place in alive:
            trials[place] = search.reach(found[place], rung.until)
        alive.sort(key=lambda place: _order(trials[place]))
    return trials


def _knobs(plan: TrainPlan) -> tuple[int, float, float]:
    return plan.rank, plan.learning_rate, plan.general_share


def _order(trial: Trial) -> float:
    return math.inf if trial.bits is None or math.isnan(trial.bits) else trial.bits


def _standing(trial: Trial) -> tuple[int, float]:
    return -trial.steps, _order(trial)


class _Counted:
    """Turns the steps of trials into one bar."""

    def __init__(self, progress: Progress, rounds: Sequence[Rung]) -> None:
        self._progress = progress
        reached = (0, *(rung.until for rung in rounds))
        self._total = sum(
            rung.candidates * (rung.until - before)
            for rung, before in zip(rounds, reached, strict=False)
        )
        self._done = 0
        self._last = 0
        self.note = ""

    def trial(self, note: str, first: int) -> None:
        self.note, self._last = note, first

    def update(self, stage: str, done: int, total: int, note: str = "") -> None:
        self._done += max(0, done - self._last)
        self._last = max(done, self._last)
        shown = min(self._done, self._total)
        self._progress.update("sweep", shown, self._total, f"{self.note}: {note}")


class _Search:
    """Trains candidates on one loaded base model, each from where it was."""

    def __init__(
        self,
        loaded: LoadedModel,
        base: Base,
        chat: ChatFormat,
        store: AdapterStore,
        work: Path,
        counted: _Counted,
    ) -> None:
        self._loaded, self._base, self._chat = loaded, base, chat
        self._store, self._work, self._counted = store, work, counted
        self._start: Start | None = None
        self._reached: dict[str, int] = {}

    def place(self, plan: TrainPlan) -> Unfinished:
        return unfinished(
            plan, base=self._base, chat=self._chat, store=self._store, scratch=self._work
        )

    def reach(self, plan: TrainPlan, until: int) -> Trial:
        rank, rate, share = _knobs(plan)
        place = self.place(plan)
        self._counted.trial(
            f"rank {rank}, rate {rate:g}, share {share:g}", self._reached.get(place.key, 0)
        )
        adapted = lora.adapt(self._loaded.model, plan)
        done = fit(
            adapted,
            plan,
            tokens_of(plan, self._chat),
            folder=self._work,
            progress=self._counted,
            unfinished=place,
            until=until,
            start=self._start,
        )
        adapted.peft.unload()
        self._start, self._reached[place.key] = done.start, until
        return Trial(
            rank=rank,
            learning_rate=rate,
            general_share=share,
            steps=until,
            bits=done.after if done.finite else None,
        )


def table(trials: Sequence[Trial]) -> tuple[Mapping[str, str], ...]:
    """The trials as they are printed: the continuous figure of each, and which was chosen."""
    return tuple(
        {
            "": "*" if trial.chosen else "",
            "bits/token": "diverged" if trial.bits is None else f"{trial.bits:.3f}",
            "steps": str(trial.steps),
            "rank": str(trial.rank),
            "learning rate": f"{trial.learning_rate:g}",
            "general share": f"{trial.general_share:g}",
        }
        for trial in trials
    )
