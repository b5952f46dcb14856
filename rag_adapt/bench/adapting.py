"""The adapters of one skill: trained for every lesson and seed, loaded, proven, guarded.

It does not know how any of that is done; it is handed the tools, and training items alone.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rag_adapt.adapters.card import Card
from rag_adapt.bench.arms import Lesson, Search
from rag_adapt.bench.context_rows import training_passages
from rag_adapt.bench.documents import read_documents
from rag_adapt.bench.figures import AdapterFigures
from rag_adapt.bench.plan import Plan
from rag_adapt.bench.tools import Tools
from rag_adapt.bench.training import Training
from rag_adapt.core.errors import RagAdaptError
from rag_adapt.core.protocols import Progress
from rag_adapt.core.types import Item, Passage
from rag_adapt.skills.skill import Skill


@dataclass(frozen=True, kw_only=True)
class Lessons:
    """What came of the trainings of one skill."""

    versions: Mapping[Lesson, Mapping[int, str]]
    """Adapters that may be scored, by lesson and training seed."""
    figures: tuple[AdapterFigures, ...]
    reasons: Mapping[Lesson, str]
    """Why a lesson's arms may not be scored."""


def adapt(
    skill: Skill,
    lessons: Sequence[Lesson],
    *,
    learn: Sequence[Item],
    search: Search | None,
    plan: Plan,
    tools: Tools,
    runner: asyncio.Runner,
    progress: Progress,
    fold: int | None = None,
) -> Lessons:
    """Train, load and prove one adapter for each lesson and seed; a lesson counts as a whole."""
    documents: tuple[Passage, ...] = ()
    if plan.learn_from != "examples" and skill.corpus is not None:
        documents = read_documents(skill.corpus)
    versions: dict[Lesson, dict[int, str]] = {}
    figures: list[AdapterFigures] = []
    reasons: dict[Lesson, str] = {}
    for lesson in lessons:
        try:
            passages = None
            if lesson == "context":
                assert search is not None  # only given where there are documents
                passages = runner.run(
                    training_passages(skill, learn, search, seed=plan.seed, progress=progress)
                )
            for seed in plan.training_seeds:
                training = Training(
                    skill=skill,
                    items=tuple(learn),
                    plan=plan,
                    seed=seed,
                    passages=passages,
                    documents=documents if lesson == "plain" else (),
                )
                found = teach(training, tools, runner=runner, progress=progress, fold=fold)
                figures.append(found)
                versions.setdefault(lesson, {})[seed] = found.version
        except RagAdaptError as error:
            versions.pop(lesson, None)
            reasons[lesson] = f"not measured: {error.fact}"
    return Lessons(versions=versions, figures=tuple(figures), reasons=reasons)


def teach(
    training: Training,
    tools: Tools,
    *,
    runner: asyncio.Runner,
    progress: Progress,
    fold: int | None,
    guarded: bool = True,
) -> AdapterFigures:
    """Train one adapter, or find the one of this very training; load it and prove it.

    Raises:
        NotProvenError: it was not shown to be active.
        AdapterError: it could not be trained.
    """
    card = tools.train(training, progress)
    found = runner.run(_prove(card, tools, guarded=guarded))
    return found.model_copy(update={"fold": fold})


async def _prove(card: Card, tools: Tools, *, guarded: bool) -> AdapterFigures:
    """Load and prove; the guard's figures stand beside the adapter wherever it is offered.

    Raises:
        NotProvenError: it was not shown to be active.
        AdapterError: it was not trained here.
    """
    await tools.adapters.ensure_loaded(card.version)
    proof = await tools.prove(card.version)
    proof.require()
    known = card.trained()
    return AdapterFigures(
        version=card.version,
        examples=known.examples,
        seconds=known.seconds,
        bytes=card.size_bytes,
        proven=proof.proven,
        seed=known.seed,
        with_context=card.with_context,
        dev_bits_before=card.dev_bits_before,
        dev_bits_after=card.dev_bits_after,
        guard=await tools.guard(card.version, card.skill) if guarded else (),
    )
