"""Makes one skill ready: its test items, what routes may learn from, its parts, its routes.

Indexing and training block, outside of any event loop, so that Ctrl-C stops them at once.
It does not know which engine, store or embedder it is handed, and it never shows a test item to
anything that learns.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rag_adapt.bench.arms import ARMS, Parts, Search
from rag_adapt.bench.figures import AdapterFigures, CollectionFigures
from rag_adapt.bench.plan import Plan, choose_examples, choose_items, other_inputs
from rag_adapt.bench.proof import Proof
from rag_adapt.bench.reference import Embeds, NearestPool, Reference
from rag_adapt.bench.runner import Answers, Judge
from rag_adapt.core.errors import RagAdaptError
from rag_adapt.core.protocols import Adapters, Engine, Progress
from rag_adapt.core.types import Example, Item, Passage
from rag_adapt.scoring.registry import scorer_for
from rag_adapt.skills.skill import Skill

NO_CORPUS: Final = "not measured: no corpus"
NO_GOLD: Final = "not measured: items name no gold passages"


@dataclass(frozen=True, kw_only=True)
class Indexed:
    """A skill's collection, ready to be asked, and what it took."""

    search: Search
    figures: CollectionFigures


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A skill's adapter and what it took."""

    version: str
    examples: int
    seconds: float
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Tools:
    """The live things a benchmark works with; wiring hands them in."""

    engine: Engine
    adapters: Adapters
    embedder: Embeds
    index: Callable[[Skill, Plan, Progress], Indexed]
    train: Callable[[Skill, Sequence[Item], Plan, Progress], Trained]
    prove: Callable[[str], Coroutine[Any, Any, Proof]]


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """One skill, ready to be asked."""

    skill: Skill
    items: tuple[Item, ...]
    routes: dict[str, Answers]
    reasons: dict[str, str]
    """Why an arm is not measured."""
    judge: Judge
    gold: dict[str, tuple[Passage, ...]]
    adapter: AdapterFigures | None
    collection: CollectionFigures | None


def prepare(
    skill: Skill, plan: Plan, tools: Tools, *, runner: asyncio.Runner, progress: Progress
) -> Prepared:
    """Index, train and prove what the plan's arms need, then build their routes."""
    items = choose_items(skill.items_of("test"), plan.items, plan.seed)
    learn = choose_examples(skill.items_of("train"), plan.examples, plan.seed)
    kinds = [ARMS[arm] for arm in plan.arms]
    indexed, adapter, unproven = None, None, None
    if skill.corpus is not None and any(kind.corpus for kind in kinds):
        indexed = tools.index(skill, plan, progress)
    if any(kind.adapter for kind in kinds):
        adapter, unproven = _adapter(skill, learn, plan, tools, runner, progress)
    parts = _parts(skill, items, learn, tools, indexed, adapter)
    documents = () if indexed is None else indexed.search.documents
    gold = {item.id: gold_passages(item, documents) for item in items if item.gold}
    reasons = {
        arm: reason
        for arm in plan.arms
        if (reason := _reason(arm, parts, unproven, has_gold=len(gold) == len(items))) is not None
    }
    return Prepared(
        skill=skill,
        items=items,
        routes={arm: _route(arm, parts) for arm in plan.arms if arm not in reasons},
        reasons=reasons,
        judge=_judge(skill, plan),
        gold=gold,
        adapter=adapter,
        collection=None if indexed is None else indexed.figures,
    )


def _parts(
    skill: Skill,
    items: Sequence[Item],
    learn: Sequence[Item],
    tools: Tools,
    indexed: Indexed | None,
    adapter: AdapterFigures | None,
) -> Parts:
    examples = tuple(Example(input=item.input, output=item.targets[0]) for item in learn)
    return Parts(
        prompt=skill.prompt,
        context=skill.context,
        pool=examples,
        nearest=NearestPool(examples, tools.embedder),
        adapters=tools.adapters,
        search=None if indexed is None else indexed.search,
        adapter=None if adapter is None else adapter.version,
        other_inputs=other_inputs(items),
    )


def _route(arm: str, parts: Parts) -> Answers:
    build = ARMS[arm].build
    if build is None:
        return Reference(name=arm, examples=parts.pool, pool=parts.nearest)
    return build(arm, parts)


def _adapter(
    skill: Skill,
    learn: Sequence[Item],
    plan: Plan,
    tools: Tools,
    runner: asyncio.Runner,
    progress: Progress,
) -> tuple[AdapterFigures | None, str | None]:
    """The adapter, and why its arms may not be scored (None if they may)."""
    try:
        trained = tools.train(skill, learn, plan, progress)
        proof = runner.run(_load_and_prove(trained.version, tools))
    except RagAdaptError as error:
        return None, f"not measured: {error.fact}"
    figures = AdapterFigures(
        version=trained.version,
        examples=trained.examples,
        seconds=trained.seconds,
        bytes=trained.bytes,
        proven=proof.proven,
    )
    return figures, None if proof.proven else f"not measured: {proof.reason}"


async def _load_and_prove(version: str, tools: Tools) -> Proof:
    await tools.adapters.ensure_loaded(version)
    return await tools.prove(version)


def _reason(arm: str, parts: Parts, unproven: str | None, *, has_gold: bool) -> str | None:
    kind = ARMS[arm]
    if kind.corpus and (parts.search is None or parts.context is None):
        return NO_CORPUS
    if kind.adapter and unproven is not None:
        return unproven
    if arm == "oracle" and not has_gold:
        return NO_GOLD
    return None


def _judge(skill: Skill, plan: Plan) -> Judge:
    return Judge(
        skill=skill.name,
        labels=skill.labels,
        sampling={repeat: plan.sampling(skill, repeat) for repeat in range(plan.repeats)},
        scorer=scorer_for(skill.scorer, skill.labels),
        others={name: scorer_for(name, skill.labels) for name in skill.scorers},
    )


def gold_passages(item: Item, documents: Sequence[Passage]) -> tuple[Passage, ...]:
    """The paragraphs (between blank lines) in which the item's gold spans stand, each once."""
    texts = {document.document: document.text for document in documents}
    found: dict[tuple[str, int, int], Passage] = {}
    for span in item.gold:
        text = texts.get(span.document, "")
        start = text.rfind("\n\n", 0, span.start) + 2 if "\n\n" in text[: span.start] else 0
        after = text.find("\n\n", span.end)
        end = len(text) if after < 0 else after
        found[(span.document, start, end)] = Passage(
            document=span.document, start=start, end=end, text=text[start:end]
        )
    return tuple(found.values())
