"""What finished runs measured of a skill, as far as it still holds.

It does not know how routes are opened. A run holds while the hashes of model, skill, documents
and adapters are what they were: then what it measured can be served as it was measured.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rag_adapt.adapters.store import AdapterStore
from rag_adapt.bench.figures import ArmReport, Recommendation, Report
from rag_adapt.bench.saved import saved_report
from rag_adapt.bench.store import Header, RunFolder, list_runs
from rag_adapt.core.errors import AdapterError, ModelNotFoundError, RagAdaptError
from rag_adapt.skills.skill import Skill


@dataclass(frozen=True, kw_only=True)
class Now:
    """What a run's hashes are compared with."""

    skill: Skill
    weights: str
    """Of the engine's model."""
    collection: Callable[[], str | None]
    """`name@hash` of the skill's documents as they are; None without a corpus. Blocking."""
    store: AdapterStore


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One arm as a run asked it."""

    arm: str
    spec: Mapping[str, Any]
    """Its route's spec."""
    shown: tuple[str, ...]
    """Inputs of the worked examples that its first answer was shown."""


@dataclass(frozen=True, kw_only=True)
class Advice:
    """A run that holds, read for one skill."""

    folder: RunFolder
    header: Header
    report: Report
    skill: str

    @property
    def folded(self) -> bool:
        """Whether its routes differ by fold, so that no single one was measured."""
        return bool(self.header.plan.get("folds"))

    @property
    def recommendation(self) -> Recommendation:
        """What it says of the skill."""
        return next(one for one in self.report.recommendations if one.skill == self.skill)

    def arm(self, name: str) -> ArmReport | None:
        """An arm's figures, if it was measured."""
        rows = (one for one in self.report.arms if (one.skill, one.arm) == (self.skill, name))
        return next((one for one in rows if one.measured), None)

    def measured(self, arm: str) -> Measured | None:
        """How an arm asked; None if it was not measured or gave no answer."""
        if self.arm(arm) is None:
            return None
        for row in self.folder.rows():
            if (row.skill, row.arm) == (self.skill, arm) and row.failure is None:
                shown = next(
                    (e["detail"]["shown"] for e in row.trace["events"] if "shown" in e["detail"]),
                    (),
                )
                return Measured(arm=arm, spec=row.trace["route"], shown=tuple(shown))
        return None


@dataclass(frozen=True, kw_only=True)
class _Found:
    """A run of the skill; `reason` says why it is of no use."""

    advice: Advice | None = None
    reason: str | None = None


def latest(now: Now, runs: Path) -> Advice:
    """The newest finished run of the skill that still holds.

    Raises:
        ModelNotFoundError: there is none; the message says what became of the newest.
    """
    reasons = []
    for found in _finished(now, runs):
        if found.advice is not None and found.reason is None:
            return found.advice
        reasons.append(found.reason)
    name = now.skill.name
    why = reasons[0] if reasons else "there is no finished run of it"
    raise ModelNotFoundError(
        f"nothing is recommended for skill {name!r}: {why}",
        hint=f"Make a recommendation with `rag-adapt bench {name}`, or choose a route yourself: "
        f"`route:prompt/{name}`.",
    )


def _finished(now: Now, runs: Path) -> Iterator[_Found]:
    """Complete runs of the skill, newest first."""
    for folder in list_runs(runs):
        try:
            header = folder.header
            if header.state != "complete" or now.skill.name not in header.plan.get("skills", {}):
                continue
            report = saved_report(folder)
        except RagAdaptError as error:
            yield _Found(reason=error.fact)
            continue
        if any(one.skill == now.skill.name for one in report.recommendations):
            advice = Advice(folder=folder, header=header, report=report, skill=now.skill.name)
            yield _Found(advice=advice, reason=_outdated(advice, now))


def _outdated(advice: Advice, now: Now) -> str | None:
    """Why a run does not hold any more; None if it does."""
    said, run = advice.recommendation, advice.header.id
    held = said.valid_for
    if said.route is None:
        return f"run {run} measured no route"
    if held.get("skill") != now.skill.data_hash:
        return f"the skill changed since run {run}"
    if held.get("model") != now.weights:
        return f"run {run} asked another model"
    if "collection" in held and held["collection"] != now.collection():
        return f"the documents changed since run {run}"
    return _gone(advice, now.store) or _newer(advice, now.store)


def _gone(advice: Advice, store: AdapterStore) -> str | None:
    """The recommended route's adapter is not in the store any more."""
    arm = advice.arm(advice.recommendation.route or "")
    for figures in () if arm is None else arm.adapters:
        try:
            store.card(figures.version)
        except AdapterError:
            return f"adapter {figures.version!r} of run {advice.header.id} is gone"
    return None


def _newer(advice: Advice, store: AdapterStore) -> str | None:
    """An adapter that was trained after the run took the place of a measured one."""
    held = advice.recommendation.valid_for
    versions = {version for key, version in held.items() if key.startswith("adapter-")}
    for name in sorted({version.partition("@")[0] for version in versions}):
        current = store.current(name)
        if current is None or current in versions:
            continue
        made = datetime.fromisoformat(advice.header.created)
        if datetime.fromisoformat(store.card(current).created) > made:
            return f"adapter {current!r} is newer than run {advice.header.id}"
    return None
