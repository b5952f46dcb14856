"""How far an unfinished run is, arm by arm: counts and nothing that could be taken for a result.

It does not know HTTP. **Before its end a run shows no score: n was fixed in advance, and a look at
half of the items is not a test.**
"""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from rag_adapt.api.desk import Desk
from rag_adapt.api.job_results import result_path
from rag_adapt.api.run_index import ArmOf, Count, RunIndex
from rag_adapt.api.run_orders import command_of, is_made_by, order_of, plan_of
from rag_adapt.bench.arms import ARMS
from rag_adapt.bench.doses import doses, is_dose
from rag_adapt.bench.plan import Plan, choose_examples
from rag_adapt.bench.store import ANSWERS, Header, RunFolder, list_runs
from rag_adapt.core.errors import RunNotFoundError, UserError
from rag_adapt.jobs.job import Job
from rag_adapt.schemas.runs import ArmProgress, RunProgress
from rag_adapt.settings import Settings
from rag_adapt.skills.folding import folds
from rag_adapt.skills.skill import Skill

KEPT: Final = 16
"""Runs whose totals are remembered."""

Totals = Mapping[ArmOf, int]


class Book:
    """How many answers runs want in all; threads may share it. A run's plan never changes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[Path, Totals] = OrderedDict()

    def totals(self, run: RunFolder, settings: Settings) -> Totals:
        """By skill and arm; without those whose skill is gone or has changed."""
        with self._lock:
            if run.path not in self._kept:
                self._kept[run.path] = _totals(run.header, settings)
            self._kept.move_to_end(run.path)
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return self._kept[run.path]


def progress_of(run: RunFolder, *, index: RunIndex, book: Book, desk: Desk) -> RunProgress:
    """How far a run is.

    Args:
        run: The run.
        index: Where its answers lie.
        book: Of totals.
        desk: Of the jobs that may be at work on it.

    Raises:
        StorageError: an answer's line is damaged.
    """
    header, counts = run.header, index.counts()
    totals = book.totals(run, desk.settings)
    arms = [_arm(name, counts, totals) for name in _named(header, counts, totals)]
    answers = run.path / ANSWERS
    job = job_of(header, desk)
    return RunProgress(
        id=run.path.name,
        state=header.state,
        job=None if job is None else job.id,
        last=answers.stat().st_mtime if answers.exists() else None,
        arms=arms,
    )


def job_of(header: Header, desk: Desk) -> Job | None:
    """The job that works on an unfinished run, or waits to."""
    if header.state == "complete":
        return None
    return next((x for x in desk.jobs.list("running", "queued") if _is_of(x, header, desk)), None)


def run_of(job: Job, desk: Desk) -> RunFolder | None:
    """The run that a job made, makes, or began before it was stopped."""
    made = result_path(job, desk.jobs.folder)
    for run in list_runs(desk.home / "runs"):
        try:
            header = run.header
        except RunNotFoundError:
            continue  # damaged: no job goes on with it
        if f"/v1/runs/{run.path.name}" == made:
            return run
        if made is None and header.state == "running" and _is_of(job, header, desk):
            return run
    return None


def _is_of(job: Job, header: Header, desk: Desk) -> bool:
    """Whether a job's command makes this run: as it was made, or as the service would go on."""
    if job.argv[:1] != ("bench",):
        return False
    try:
        resumed = command_of(order_of(header.plan, desk.settings), desk.settings)
    except UserError:
        resumed = None
    return is_made_by(header, job.argv) or list(job.argv) == resumed


def _named(header: Header, counts: Mapping[ArmOf, Count], totals: Totals) -> list[ArmOf]:
    """Skills and arms in the order of the plan."""
    skills = dict.fromkeys([*header.plan.get("skills", ()), *(skill for skill, _ in counts)])
    known = (arm for _, arm in (*totals, *counts))
    arms = dict.fromkeys([*header.plan.get("arms", ()), *known])
    return [(s, a) for s in skills for a in arms if (s, a) in counts or (s, a) in totals]


def _arm(name: ArmOf, counts: Mapping[ArmOf, Count], totals: Totals) -> ArmProgress:
    count = counts.get(name, Count(answered=0, failed=0))
    return ArmProgress(
        skill=name[0],
        arm=name[1],
        answered=count.answered,
        failed=count.failed,
        total=totals.get(name),
    )


def _totals(header: Header, settings: Settings) -> Totals:
    try:
        plan = plan_of(order_of(header.plan, settings), settings)
    except UserError:
        return {}
    kept = header.plan["skills"]
    return {
        (skill.name, arm): _items(skill, plan) * plan.repeats * _adapters(arm, plan)
        for skill in plan.skills
        if kept[skill.name] == skill.data_hash
        for arm in _arms(skill, plan)
    }


def _arms(skill: Skill, plan: Plan) -> list[str]:
    """Those that the skill allows; of the dose curve, the sizes that its examples allow."""
    examples = len(choose_examples(skill.training_items, plan.examples, plan.seed))
    sizes = [size for size in plan.doses if size <= examples]
    arms = [arm for arm in plan.arms if skill.corpus is not None or not ARMS[arm].corpus]
    return [*arms, *(dose.arm for dose in doses(sizes))]


def _items(skill: Skill, plan: Plan) -> int:
    """Test items that every arm answers."""
    tested = folds(skill, plan.folds, seed=plan.seed) if plan.folds else (skill,)
    most = plan.items_per_fold
    return sum(
        len(one.test_items) if most is None else min(most, len(one.test_items)) for one in tested
    )


def _adapters(arm: str, plan: Plan) -> int:
    """How many answer each question of an arm; `lora@50` is one of the dose curve."""
    trained = arm.startswith("lora@") if is_dose(arm) else ARMS[arm].adapter is not None
    return plan.train_seeds if trained else 1
