"""Makes one skill ready: its test items, what routes may learn from, its parts, its contenders.

Indexing and training block, outside of any event loop, so that Ctrl-C stops them at once.
It does not know which engine, store or embedder it is handed, and it never shows a test item to
anything that learns.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from rag_adapt.bench.adapting import Lessons, adapt, teach
from rag_adapt.bench.arms import ARMS, Lesson, Parts, Search, prompt_route, rag_route
from rag_adapt.bench.doses import prepare_doses
from rag_adapt.bench.figures import AdapterFigures, CollectionFigures, Given, Leaks
from rag_adapt.bench.gold import gold_passages
from rag_adapt.bench.leaks import Firewall, find_leaks
from rag_adapt.bench.optimise import optimise
from rag_adapt.bench.plan import Plan, choose_examples, choose_items, other_inputs
from rag_adapt.bench.reference import NearestPool, Reference
from rag_adapt.bench.runner import Answers, Contender, Judge
from rag_adapt.bench.store import AnswerRow
from rag_adapt.bench.tools import Indexed, Tools
from rag_adapt.bench.tuning import Tuned, setups, tune
from rag_adapt.core.protocols import Progress
from rag_adapt.core.types import Example, Item, Passage
from rag_adapt.scoring.registry import scorer_for
from rag_adapt.skills.skill import Skill

NO_CORPUS: Final = "not measured: no corpus"
NO_GOLD: Final = "not measured: items name no gold passages"


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """One skill (or one fold of it), ready to be asked."""

    skill: Skill
    fold: int | None
    items: tuple[Item, ...]
    contenders: tuple[Contender, ...]
    reasons: dict[str, str]
    """Why an arm is not measured."""
    judge: Judge
    gold: dict[str, tuple[Passage, ...]]
    adapters: tuple[AdapterFigures, ...]
    dosed: dict[str, tuple[AdapterFigures, ...]]
    """By arm of the dose curve: the adapters that answer."""
    collection: CollectionFigures | None
    leaks: Leaks
    given: dict[str, Given]
    """By route: what it could learn and choose from."""
    learn: tuple[Item, ...]
    """Training items that routes may learn from."""
    search: Search | None
    dev_rows: tuple[AnswerRow, ...]
    """What was asked while routes were being chosen."""


def prepare(
    skill: Skill,
    plan: Plan,
    tools: Tools,
    *,
    runner: asyncio.Runner,
    progress: Progress,
    concurrency: int = 1,
    fold: int | None = None,
) -> Prepared:
    """Index, train, prove and choose what the plan's arms need, then build their routes."""
    chosen = choose_items(skill.test_items, plan.items_per_fold, plan.seed)
    learn = choose_examples(skill.training_items, plan.examples, plan.seed)
    indexed = _index(skill, plan, tools, progress)
    search = None if indexed is None else indexed.search
    documents = () if search is None else search.documents
    firewall = find_leaks(skill, chosen, learn, documents=documents)
    gold = {item.id: gold_passages(item, documents) for item in firewall.items if item.gold}
    lessons = adapt(
        skill,
        _lessons(plan, search),
        learn=learn,
        search=search,
        plan=plan,
        tools=tools,
        runner=runner,
        progress=progress,
        fold=fold,
    )
    parts = _parts(skill, firewall, learn, tools, search)
    judge = _judge(skill, plan, firewall, fold)
    tuned: dict[str, Tuned] = {}
    for name in _tunable(plan, parts):
        tuning = _tune(name, skill, parts, judge, plan, tools, learn, concurrency, progress)
        tuned[name] = runner.run(tuning)
    parts = replace(parts, setups={name: one.setup for name, one in tuned.items()})
    covered = all(item.id in gold for item in firewall.items)
    reasons = _reasons(plan, parts, lessons, covered=covered)
    # a curve's adapters are points of it and offered to nobody: what they damage is not measured
    teacher = partial(
        teach, tools=tools, runner=runner, progress=progress, fold=fold, guarded=False
    )
    dosed = prepare_doses(skill, plan, parts=parts, learn=learn, lessons=lessons, teacher=teacher)
    return Prepared(
        skill=skill,
        fold=fold,
        items=firewall.items,
        contenders=(*_contenders(plan, parts, lessons, reasons), *dosed.contenders),
        reasons=reasons | dosed.reasons,
        judge=judge,
        gold=gold,
        adapters=lessons.figures,
        dosed=dosed.adapters,
        collection=None if indexed is None else indexed.figures,
        leaks=firewall.figures,
        given=_given(skill, plan, parts, learn, tuned, fold),
        learn=tuple(learn),
        search=search,
        dev_rows=tuple(row for one in tuned.values() for row in one.rows),
    )


def _index(skill: Skill, plan: Plan, tools: Tools, progress: Progress) -> Indexed | None:
    if skill.corpus is None or not any(ARMS[arm].corpus for arm in plan.arms):
        return None
    return tools.index(skill, plan, progress)


def _lessons(plan: Plan, search: Search | None) -> list[Lesson]:
    """The lessons that the plan's arms need, each once, where there are documents for them."""
    kinds = [ARMS[arm] for arm in plan.arms]
    needed = [k.adapter for k in kinds if k.adapter and (search is not None or not k.corpus)]
    return list(dict.fromkeys(needed))


def _parts(
    skill: Skill, firewall: Firewall, learn: Sequence[Item], tools: Tools, search: Search | None
) -> Parts:
    examples = tuple(Example(input=item.input, output=item.targets[0]) for item in learn)
    return Parts(
        prompt=skill.prompt,
        context=skill.context,
        pool=examples,
        nearest=NearestPool(examples, tools.embedder),
        adapters=tools.adapters,
        search=search,
        lessons={},
        other_inputs=other_inputs(firewall.items),
    )


def _tunable(plan: Plan, parts: Parts) -> list[str]:
    readable = parts.search is not None and parts.context is not None
    return [arm for arm in ("prompt", "rag") if arm in plan.arms and (arm != "rag" or readable)]


async def _tune(
    name: str,
    skill: Skill,
    parts: Parts,
    judge: Judge,
    plan: Plan,
    tools: Tools,
    learn: Sequence[Item],
    concurrency: int,
    progress: Progress,
) -> Tuned:
    build = prompt_route if name == "prompt" else rag_route
    kind = "prompt" if name == "prompt" else "context"
    wanted = setups(skill.templates, kind, pool=len(parts.pool))
    dev = choose_items(skill.dev_items, None, plan.seed) if skill.dev_items else ()
    documents = len(parts.search.documents) if name == "rag" and parts.search else 0
    if plan.optimiser == "dspy":
        return await optimise(
            name,
            wanted[0],
            build=lambda setup: build(name, parts, setup),
            learn=learn,
            dev=dev,
            judge=judge,
            engine=tools.engine,
            budget=plan.tune,
            seed=plan.seed,
            documents=documents,
            progress=progress,
        )
    return await tune(
        name,
        wanted,
        build=lambda setup: build(name, parts, setup),
        dev=dev,
        judge=judge,
        engine=tools.engine,
        budget=plan.tune,
        examples=len(parts.pool),
        documents=documents,
        concurrency=concurrency,
        progress=progress,
    )


def _given(
    skill: Skill,
    plan: Plan,
    parts: Parts,
    learn: Sequence[Item],
    tuned: Mapping[str, Tuned],
    fold: int | None,
) -> dict[str, Given]:
    """Adapters choose their checkpoint on dev by code length; prompt and rag by answers."""
    documents = 0 if parts.search is None else len(parts.search.documents)
    given = {name: one.given for name, one in tuned.items()}
    for arm in plan.arms:
        kind = ARMS[arm]
        learns = kind.adapter == "plain" and plan.learn_from != "examples"
        if kind.adapter is not None and not kind.control:
            given[arm] = Given(
                examples=len(learn),
                documents=documents if kind.corpus or learns else 0,
                dev_items=len(skill.dev_items),
                budget=plan.tune,
                spent=0,
            )
    return {arm: one.model_copy(update={"fold": fold}) for arm, one in given.items()}


def _contenders(
    plan: Plan, parts: Parts, lessons: Lessons, reasons: Mapping[str, str]
) -> list[Contender]:
    made = []
    for arm in plan.arms:
        kind = ARMS[arm]
        if arm in reasons:
            continue
        if kind.adapter is None:
            route = _route(arm, parts)
            choice = plan.choice and not kind.control
            made.append(Contender(arm=arm, route=route, again=kind.again, choice=choice))
            continue
        for seed, version in lessons.versions[kind.adapter].items():
            taught = replace(parts, lessons={kind.adapter: version})
            route, choice = _route(arm, taught), plan.choice and not kind.control
            made.append(Contender(arm=arm, route=route, train_seed=seed, choice=choice))
    return made


def _route(arm: str, parts: Parts) -> Answers:
    build = ARMS[arm].build
    if build is None:
        return Reference(name=arm, examples=parts.pool, pool=parts.nearest)
    return build(arm, parts)


def _reasons(plan: Plan, parts: Parts, lessons: Lessons, *, covered: bool) -> dict[str, str]:
    found = {arm: _reason(arm, parts, lessons, covered=covered) for arm in plan.arms}
    return {arm: reason for arm, reason in found.items() if reason is not None}


def _reason(arm: str, parts: Parts, lessons: Lessons, *, covered: bool) -> str | None:
    kind = ARMS[arm]
    if kind.corpus and (parts.search is None or parts.context is None):
        return NO_CORPUS
    if kind.adapter is not None and kind.adapter in lessons.reasons:
        return lessons.reasons[kind.adapter]
    if arm == "oracle" and not covered:
        return NO_GOLD
    return None


def _judge(skill: Skill, plan: Plan, firewall: Firewall, fold: int | None) -> Judge:
    return Judge(
        skill=skill.name,
        labels=skill.labels,
        sampling={repeat: plan.sampling(skill, repeat) for repeat in range(plan.repeats)},
        scorer=scorer_for(skill.scorer, skill.labels),
        others={name: scorer_for(name, skill.labels) for name in skill.scorers},
        fold=fold,
        leaked=firewall.leaked,
    )
