"""One benchmark from plan to report.

It does not know how anything is shown; it is handed tools, a plan and a place for the record.
"""

import asyncio
import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from rag_adapt import __version__
from rag_adapt.bench.figures import Report
from rag_adapt.bench.plan import Plan
from rag_adapt.bench.prepare import Prepared, Tools, prepare
from rag_adapt.bench.report import Extras, build_report
from rag_adapt.bench.runner import interleave, run_questions
from rag_adapt.bench.store import RunFolder, RunWriter, open_run
from rag_adapt.core.protocols import Progress
from rag_adapt.models.memory import hand_back

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
    with RunWriter(folder) as writer, asyncio.Runner() as runner:
        done = {row.key for row in folder.rows()}
        for skill in plan.skills:
            ready = prepare(skill, plan, tools, runner=runner, progress=progress)
            prepared.append(ready)
            questions = interleave(
                ready.routes, ready.items, repeats=plan.repeats, seed=plan.seed, gold=ready.gold
            )
            asking = run_questions(
                questions,
                judge=ready.judge,
                engine=tools.engine,
                writer=writer,
                done=done,
                latency_items=plan.latency_items,
                concurrency=concurrency,
                progress=progress,
            )
            runner.run(asking)
            hand_back()
        report = build_report(
            folder.rows(),
            skills=[skill.name for skill in plan.skills],
            arms=plan.arms,
            run=_run(folder, plan, prepared),
            extras=_extras(prepared),
        )
        writer.finish(report.model_dump(mode="json"))
    return Finished(folder=folder, report=report)


def _extras(prepared: list[Prepared]) -> Extras:
    return Extras(
        reasons={
            (p.skill.name, arm): reason for p in prepared for arm, reason in p.reasons.items()
        },
        adapters={p.skill.name: (p.adapter,) for p in prepared if p.adapter is not None},
        collections={p.skill.name: p.collection for p in prepared if p.collection is not None},
    )


def _run(folder: RunFolder, plan: Plan, prepared: list[Prepared]) -> Mapping[str, Any]:
    header = folder.header
    return {
        "id": header.id,
        "created": header.created,
        "command": header.command,
        "plan_hash": header.plan_hash,
        "plan": header.plan,
        "model": header.fingerprint,
        "items": {p.skill.name: len(p.items) for p in prepared},
        "available_items": {p.skill.name: len(p.skill.items_of("test")) for p in prepared},
        "clusters": {p.skill.name: len({i.cluster for i in p.items}) for p in prepared},
        "skills": {p.skill.name: p.skill.data_hash for p in prepared},
        "scorers": {p.skill.name: p.skill.scorer for p in prepared},
        "sampling": {p.skill.name: asdict(plan.sampling(p.skill, 0)) for p in prepared},
        "code": __version__,
        "versions": {"python": platform.python_version()} | {n: version(n) for n in LIBRARIES},
        "machine": {
            "platform": platform.platform(terse=True),
            "cores": os.cpu_count(),
            "python": sys.implementation.name,
        },
    }
