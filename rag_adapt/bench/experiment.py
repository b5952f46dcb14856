"""One benchmark from plan to report.

It does not know how anything is shown; it is handed tools, a plan and a place for the record.
"""

import asyncio
import os
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from rag_adapt import __version__
from rag_adapt.bench.arms import ARMS
from rag_adapt.bench.atlas import write_evidence
from rag_adapt.bench.features import Features
from rag_adapt.bench.figures import Report
from rag_adapt.bench.page.document import PAGE, chart_library, write_page
from rag_adapt.bench.plan import Plan
from rag_adapt.bench.prepare import Prepared, prepare
from rag_adapt.bench.readout import read_out
from rag_adapt.bench.report import Extras, build_report, merge_leaks
from rag_adapt.bench.runner import interleave, run_questions
from rag_adapt.bench.store import RowKey, RunFolder, RunWriter, open_run
from rag_adapt.bench.tools import Tools
from rag_adapt.core.protocols import Progress
from rag_adapt.core.types import Item
from rag_adapt.models.memory import hand_back
from rag_adapt.skills.folding import folds
from rag_adapt.skills.skill import Skill

LIBRARIES: Final = ("torch", "transformers", "peft", "chromadb", "sentence-transformers", "litellm")


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A run and its report."""

    folder: RunFolder
    report: Report


def run_experiment(
    plan: Plan,
    tools: Tools,
    *,
    runs: Path,
    out: Path | None,
    command: str,
    concurrency: int,
    progress: Progress,
) -> Finished:
    """Prepare, ask and report; an interrupted run of the same plan goes on where it stopped.

    Raises:
        LockedError: another process writes to the same run.
        StorageError: `out` holds another run.
    """
    fingerprint = tools.engine.fingerprint
    folder = open_run(
        runs,
        out,
        plan_hash=plan.hash(fingerprint),
        command=command,
        plan=plan.identity(fingerprint),
        fingerprint=asdict(fingerprint),
    )
    prepared: list[Prepared] = []
    features: list[Features] = []
    with RunWriter(folder) as writer, asyncio.Runner() as runner:
        done = {row.key for row in folder.rows()}
        try:
            for skill, fold in variants(plan):
                ready = prepare(
                    skill,
                    plan,
                    tools,
                    runner=runner,
                    progress=progress,
                    concurrency=concurrency,
                    fold=fold,
                )
                prepared.append(ready)
                _ask(ready, plan, tools, writer, done, runner, concurrency, progress)
                if plan.probe and not fold:
                    features += _probe(ready, plan, tools, runner, progress)
                hand_back()
        finally:
            runner.run(tools.end())
        writer.keep_dev([row for ready in prepared for row in ready.dev_rows])
        report = build_report(
            folder.rows(),
            skills=[skill.name for skill in plan.skills],
            arms=plan.arms,
            run=_run(folder, plan, prepared),
            extras=_extras(prepared, features),
            contrasts=plan.contrasts,
            doses=plan.doses,
            margin=plan.margin,
        )
        library = partial(chart_library, runs.parent / "cache")
        write_page(report, folder.rows, folder.path / PAGE, library=library)
        write_evidence(folder, report, features)
        writer.finish(report.model_dump(mode="json"))
    return Finished(folder=folder, report=report)


def variants(plan: Plan) -> Iterator[tuple[Skill, int | None]]:
    """Each skill as it is, or once for each fold of it."""
    for skill in plan.skills:
        if not plan.folds:
            yield skill, None
            continue
        for number, folded in enumerate(folds(skill, plan.folds, seed=plan.seed)):
            yield folded, number


def _ask(
    ready: Prepared,
    plan: Plan,
    tools: Tools,
    writer: RunWriter,
    done: set[RowKey],
    runner: asyncio.Runner,
    concurrency: int,
    progress: Progress,
) -> None:
    questions = interleave(
        ready.contenders, ready.items, repeats=plan.repeats, seed=plan.seed, gold=ready.gold
    )
    asking = run_questions(
        questions,
        judge=ready.judge,
        engine=tools.engine,
        writer=writer,
        done=done,
        latency_items=plan.latency_items if not ready.fold else 0,
        concurrency=concurrency,
        progress=progress,
    )
    runner.run(asking)


def _probe(
    ready: Prepared, plan: Plan, tools: Tools, runner: asyncio.Runner, progress: Progress
) -> list[Features]:
    """One skill's probes; none where it has nothing to read or learn from, or weights not ours.

    They train three small adapters: a run that trains none does without.
    """
    trains = any(ARMS[arm].adapter for arm in plan.arms)
    if tools.probe is None or not trains or not ready.skill.dev_items or not ready.learn:
        return []
    found = tools.probe(
        ready.skill,
        ready.learn,
        search=ready.search,
        embedder=tools.embedder,
        seed=plan.seed,
        runner=runner,
        progress=progress,
    )
    return [found]


def _extras(prepared: Sequence[Prepared], features: Sequence[Features]) -> Extras:
    extras = Extras(readouts={one.skill: read_out(one) for one in features})
    for ready in prepared:
        name = ready.skill.name
        for arm, reason in ready.reasons.items():
            extras.reasons[(name, arm)] = reason
        for arm, given in ready.given.items():
            extras.given.setdefault((name, arm), []).append(given)
        extras.adapters.setdefault(name, []).extend(ready.adapters)
        for arm, found in ready.dosed.items():
            extras.dosed.setdefault((name, arm), []).extend(found)
        if ready.collection is not None:
            extras.collections[name] = ready.collection
        before = extras.leaks.get(name)
        extras.leaks[name] = ready.leaks if before is None else merge_leaks(before, ready.leaks)
    return extras


def _run(folder: RunFolder, plan: Plan, prepared: Sequence[Prepared]) -> Mapping[str, Any]:
    header = folder.header
    items: dict[str, list[Item]] = {}
    for ready in prepared:
        items.setdefault(ready.skill.name, []).extend(ready.items)
    return {
        "id": header.id,
        "created": header.created,
        "command": header.command,
        "plan_hash": header.plan_hash,
        "plan": header.plan,
        "model": header.fingerprint,
        "items": {name: len(found) for name, found in items.items()},
        "available_items": {
            s.name: len(s.items if plan.folds else s.test_items) for s in plan.skills
        },
        "clusters": {name: len({i.cluster for i in found}) for name, found in items.items()},
        "skills": {s.name: s.data_hash for s in plan.skills},
        "scorers": {s.name: s.scorer for s in plan.skills},
        "labels": {s.name: list(s.labels) for s in plan.skills},
        "sampling": {s.name: asdict(plan.sampling(s, 0)) for s in plan.skills},
        "code": __version__,
        "versions": {"python": platform.python_version()} | {n: version(n) for n in LIBRARIES},
        "machine": {
            "platform": platform.platform(terse=True),
            "cores": os.cpu_count(),
            "python": sys.implementation.name,
        },
    }
