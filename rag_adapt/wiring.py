"""The composition root: settings in, live services out; the only place that picks classes.

It does not know commands or how anything is shown. Engines and what they stand on are built by
`wiring_engines`.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag_adapt.core.errors import PlanError
from rag_adapt.core.protocols import Progress
from rag_adapt.core.trace import Answer, Failure
from rag_adapt.core.types import Draft, Item, Passage
from rag_adapt.settings import Settings
from rag_adapt.skills.load import bundled_names, find_skill
from rag_adapt.skills.skill import Skill
from rag_adapt.wiring_engines import Services as Services
from rag_adapt.wiring_engines import adapter_store as adapter_store
from rag_adapt.wiring_engines import embedder as embedder
from rag_adapt.wiring_engines import index, searched_as
from rag_adapt.wiring_engines import language_files as language_files
from rag_adapt.wiring_engines import language_model as language_model
from rag_adapt.wiring_engines import prove_afresh as prove_afresh
from rag_adapt.wiring_engines import search_options as search_options
from rag_adapt.wiring_engines import services as services

if TYPE_CHECKING:
    from rag_adapt.bench.experiment import Finished
    from rag_adapt.bench.outline import Outline
    from rag_adapt.bench.plan import Plan
    from rag_adapt.bench.store import Header


def plan(
    settings: Settings,
    *,
    skills: Sequence[str],
    arms: str,
    contrasts: Sequence[str] = (),
    **choices: Any,
) -> "Plan":
    """A benchmark's plan; no skill named means all bundled ones.

    Raises:
        PlanError: an arm or a contrast is unknown, or a skill is named twice.
        SkillError: a skill is unknown or its folder is wrong.
        MissingPackageError: the plan needs DSPy, which is not installed.
    """
    from rag_adapt.bench.arms import parse_arms, parse_contrasts
    from rag_adapt.bench.optimise import require_dspy
    from rag_adapt.bench.plan import Plan

    if choices.get("optimiser") == "dspy":
        require_dspy()
    names = list(skills) or sorted(bundled_names())
    found = tuple(find_skill(name, settings.home) for name in names)
    if len({skill.name for skill in found}) < len(found):
        raise PlanError(f"a skill is named twice: {', '.join(names)}", hint="Name each skill once.")
    wanted = parse_arms(arms)
    return Plan(
        skills=found,
        arms=wanted,
        contrasts=parse_contrasts(contrasts, wanted),
        top_k=settings.top_k,
        search_mode=searched_as(settings),
        embedder=settings.embedder,
        **choices,
    )


def outline(settings: Settings, plan: "Plan") -> "list[Outline]":
    """What a plan will ask and what it can tell, priced by past runs of the same model."""
    from rag_adapt.bench.outline import outline as outlined
    from rag_adapt.bench.store import list_runs

    runs = [run for run in list_runs(settings.home / "runs") if run.header.state == "complete"]
    return outlined(plan, [run.report() for run in runs if _same_model(run.header, settings)])


def _same_model(header: "Header", settings: Settings) -> bool:
    return bool(header.fingerprint.get("model") == settings.model)


def bench(
    settings: Settings, plan: "Plan", *, out: Path | None, command: str, progress: Progress
) -> "Finished":
    """Run a plan to its report."""
    from rag_adapt.bench.experiment import run_experiment

    live = services(settings, progress, guarded=plan.guard)
    try:
        return run_experiment(
            plan,
            live.tools(),
            runs=settings.home / "runs",
            out=out,
            command=command,
            concurrency=settings.concurrency,
            progress=progress,
        )
    finally:
        live.close()


def answer(
    settings: Settings, question: str, *, skill: str, route: str, progress: Progress
) -> Answer | Failure:
    """Answer one question through one route; trains or indexes first what the route needs.

    Raises:
        PlanError: the route is unknown, a reference, or cannot be built for this skill.
    """
    from rag_adapt.bench.arms import ARMS
    from rag_adapt.bench.prepare import prepare
    from rag_adapt.routes.route import Route

    wanted = plan(settings, skills=[skill], arms=route)
    routes = ", ".join(name for name, kind in ARMS.items() if kind.open_question)
    if len(wanted.arms) != 1 or not ARMS[wanted.arms[0]].open_question:
        raise PlanError(
            f"route {route!r} does not answer an open question", hint=f"Use --route with: {routes}"
        )
    live = services(settings, progress)
    tools = live.tools()
    try:
        with asyncio.Runner() as runner:
            ready = prepare(wanted.skills[0], wanted, tools, runner=runner, progress=progress)
            built = next((c.route for c in ready.contenders if c.arm == route), None)
            if not isinstance(built, Route):
                raise PlanError(
                    f"route {route!r} of skill {skill!r} cannot answer: {ready.reasons[route]}",
                    hint=f"Choose another route: {routes}",
                )
            draft = Draft(item_id="question", input=question, labels=ready.skill.labels)
            asked = built.answer(draft, engine=live.engine, sampling=ready.judge.sampling[0])
            try:
                return runner.run(asked)
            finally:
                runner.run(tools.end())
    finally:
        live.close()


def documents(settings: Settings, skill: Skill) -> tuple[Passage, ...]:
    """The whole documents of a skill, parsed as collections parse them; none without a corpus.

    Raises:
        CollectionError: its corpus holds nothing that can be read.
    """
    from rag_adapt.bench.documents import read_documents

    return () if skill.corpus is None else read_documents(skill.corpus)


def training_passages(
    settings: Settings, skill: Skill, items: Sequence[Item], *, seed: int, progress: Progress
) -> dict[str, tuple[Passage, ...]]:
    """What training items and dev items are shown where `rag+lora` is trained; indexes first.

    Raises:
        AdapterError: the skill has no documents, or no template that shows passages.
        CollectionError: its corpus holds nothing that can be read.
    """
    from rag_adapt.bench import context_rows
    from rag_adapt.bench.plan import Plan

    context_rows.needs_documents(skill)
    mode = searched_as(settings)
    asked = Plan(skills=(skill,), arms=("rag+lora",), top_k=settings.top_k, search_mode=mode)
    search = index(settings, embedder(settings), skill, asked, progress).search
    return asyncio.run(
        context_rows.training_passages(skill, items, search, seed=seed, progress=progress)
    )
