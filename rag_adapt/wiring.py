"""The composition root: settings in, live services out; the only place that picks classes.

It does not know commands or how anything is shown.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag_adapt.adapters.store import AdapterStore
from rag_adapt.core.errors import AdapterError, PlanError
from rag_adapt.core.protocols import Adapters, Engine, Progress, Silent
from rag_adapt.core.trace import Answer, Failure
from rag_adapt.core.types import AdapterRef, Draft, Item, Passage
from rag_adapt.models.files import ModelFiles
from rag_adapt.models.resolve import resolve_model
from rag_adapt.settings import Settings
from rag_adapt.skills.load import bundled_names, find_skill
from rag_adapt.skills.skill import Skill

if TYPE_CHECKING:
    from rag_adapt.adapters.card import Card
    from rag_adapt.bench.experiment import Finished
    from rag_adapt.bench.figures import GuardFigures
    from rag_adapt.bench.outline import Outline
    from rag_adapt.bench.plan import Plan
    from rag_adapt.bench.proof import Proof
    from rag_adapt.bench.store import Header
    from rag_adapt.bench.tools import Indexed, Probe, Tools
    from rag_adapt.bench.training import Training
    from rag_adapt.engines.embedded import EmbeddedEngine
    from rag_adapt.models.loading import LoadedModel
    from rag_adapt.retrieval.protocols import Embedder

HASHING = "hashing"
"""The embedder that needs no model."""


def embedder(settings: Settings) -> "Embedder":
    """The embedder of the settings; its vectors are cached by content under the home."""
    from rag_adapt.retrieval.embed import CachedEmbedder, HashingEmbedder, open_embedder

    cache = settings.home / "cache" / "embeddings.db"
    if settings.embedder == HASHING:
        return CachedEmbedder(HashingEmbedder(), path=cache)
    files = resolve_model(settings.embedder, home=settings.home, kind="embedder")
    return open_embedder(files, device=settings.device, cache_path=cache)


def language_files(settings: Settings, progress: Progress | None = None) -> ModelFiles:
    """The language model's files; converted first where that is needed."""
    shown = progress or Silent()
    return resolve_model(settings.model, home=settings.home, kind="language", progress=shown)


def language_model(settings: Settings, progress: Progress | None = None) -> "LoadedModel":
    """The language model in memory."""
    from rag_adapt.models.loading import load_language_model

    files = language_files(settings, progress)
    return load_language_model(files, device=settings.device, deterministic=settings.deterministic)


def adapter_store(settings: Settings) -> AdapterStore:
    """The adapters of this home."""
    return AdapterStore(settings.home)


@dataclass(frozen=True, kw_only=True)
class Services:
    """What a command works with; `close` ends threads and files."""

    settings: Settings
    engine: Engine
    """With the answer cache in front."""
    adapters: Adapters
    embedder: "Embedder"
    train: "Callable[[Training, Progress], Card]"
    prove: "Callable[[str], Coroutine[Any, Any, Proof]]"
    close: Callable[[], None]
    guard: "Callable[[str, str], Coroutine[Any, Any, tuple[GuardFigures, ...]]] | None" = None
    """Takes an adapter's version and its own skill; None measures nothing."""
    probe: "Probe | None" = None
    """None where the weights are not ours."""
    end: Callable[[], Coroutine[Any, Any, None]] | None = None
    """Closes connections, in the event loop that opened them."""

    def tools(self) -> "Tools":
        """As the benchmark wants them."""
        from rag_adapt.bench.tools import Tools, nothing_to_end, unguarded

        return Tools(
            engine=self.engine,
            adapters=self.adapters,
            embedder=self.embedder,
            index=partial(_index, self.settings, self.embedder),
            train=self.train,
            prove=self.prove,
            guard=self.guard or unguarded,
            probe=self.probe,
            end=self.end or nothing_to_end,
        )


def services(settings: Settings, progress: Progress, *, guarded: bool = False) -> Services:
    """Build what the settings name; `guarded` measures what adapters damage."""
    return ENGINES[settings.engine](settings, progress, guarded=guarded)


def _embedded(settings: Settings, progress: Progress, *, guarded: bool) -> Services:
    from rag_adapt.bench.local import Local
    from rag_adapt.models.fingerprint import fingerprint_of

    cache = settings.home / "cache"
    files = language_files(settings, progress)
    local = Local(
        files=files,
        fingerprint=fingerprint_of(
            files,
            device=settings.device,
            deterministic=settings.deterministic,
            memory=cache / "models",
        ),
        start=lambda: embedded_engine(settings),
        store=adapter_store(settings),
        cache=cache,
        others=[find_skill(n, settings.home) for n in sorted(bundled_names())] if guarded else None,
        progress=progress,
    )
    return Services(
        settings=settings,
        engine=local.engine,
        adapters=local.late,
        embedder=embedder(settings),
        train=local.train,
        prove=local.prove,
        guard=local.guard,
        probe=local.probe,
        close=local.close,
    )


def embedded_engine(settings: Settings, progress: Progress | None = None) -> "EmbeddedEngine":
    """The engine in this process, model loaded."""
    from rag_adapt.engines.embedded import EmbeddedEngine

    return EmbeddedEngine(language_model(settings, progress))


def _adapter_for(store: AdapterStore, version: str, weights: str) -> AdapterRef:
    store.check_base(version, weights)
    return store.get(version)


async def prove_afresh(settings: Settings, version: str, progress: Progress) -> "Proof":
    """Load an adapter into an engine of its own and prove it, whatever is remembered.

    Raises:
        AdapterError: no such adapter, or it does not fit the base model.
    """
    from rag_adapt.bench.proof import not_provable, prove

    if settings.engine != "embedded":
        return not_provable(version, engine=settings.engine)
    store, engine = adapter_store(settings), embedded_engine(settings, progress)
    weights = engine.loaded.files.weights
    try:
        await engine.load_adapter(_adapter_for(store, version, weights))
        return await prove(version, store=store, engine=engine, chat=engine.loaded.chat)
    finally:
        engine.close()


def _remote(settings: Settings, progress: Progress, *, guarded: bool) -> Services:
    from rag_adapt.engines.cached import CachedEngine
    from rag_adapt.engines.remote import RemoteEngine

    key = settings.api_key
    engine = RemoteEngine(
        settings.model,
        api_base=settings.api_base,
        api_key=None if key is None else key.get_secret_value(),
        timeout=settings.timeout,
    )
    cached = CachedEngine(engine, settings.home / "cache")
    return replace(_untrained(settings, cached), end=engine.aclose)


def _scripted(settings: Settings, progress: Progress, *, guarded: bool) -> Services:
    from rag_adapt.engines.cached import CachedEngine
    from rag_adapt.engines.scripted import ScriptedEngine

    return _untrained(settings, CachedEngine(ScriptedEngine(), settings.home / "cache"))


def _untrained(settings: Settings, engine: Any) -> Services:
    """Services around an engine whose weights are not ours to adapt."""
    from rag_adapt.engines.scripted import ScriptedAdapters

    def refuse(*_: Any) -> "Card":
        raise AdapterError(
            f"adapters cannot be trained for the {settings.engine} engine",
            hint="Use `--engine embedded`, or leave out the arms lora and rag+lora.",
        )

    async def unproven(version: str) -> "Proof":
        from rag_adapt.bench.proof import not_provable

        return not_provable(version, engine=settings.engine)

    return Services(
        settings=settings,
        engine=engine,
        adapters=ScriptedAdapters(),
        embedder=embedder(settings),
        train=refuse,
        prove=unproven,
        close=engine.close,
    )


ENGINES: "dict[str, Callable[..., Services]]" = {
    "embedded": _embedded,
    "remote": _remote,
    "scripted": _scripted,
}


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
        search_mode=settings.retriever or settings.search_mode,
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
    mode = settings.retriever or settings.search_mode
    asked = Plan(skills=(skill,), arms=("rag+lora",), top_k=settings.top_k, search_mode=mode)
    search = _index(settings, embedder(settings), skill, asked, progress).search
    return asyncio.run(
        context_rows.training_passages(skill, items, search, seed=seed, progress=progress)
    )


def _index(
    settings: Settings, embedder: "Embedder", skill: Skill, plan: "Plan", progress: Progress
) -> "Indexed":
    from rag_adapt.bench.indexing import index_skill
    from rag_adapt.retrieval.langchain_retriever import load_retriever

    named = settings.retriever
    return index_skill(
        skill,
        plan,
        indexes=settings.indexes,
        embedder=embedder,
        mode=settings.search_mode,
        retriever=None if named is None else load_retriever(named),
        progress=progress,
    )
