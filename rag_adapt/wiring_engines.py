"""Builds the parts that everything else is built from: model, embedder, store, and each engine.

It does not know commands; `wiring` is the face of both.
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from rag_adapt.adapters.store import AdapterStore
from rag_adapt.core.errors import AdapterError, SettingsError
from rag_adapt.core.protocols import Adapters, Engine, Progress, Silent
from rag_adapt.core.types import AdapterRef, Fingerprint
from rag_adapt.models.files import ModelFiles
from rag_adapt.models.resolve import resolve_model
from rag_adapt.settings import Settings
from rag_adapt.skills.load import bundled_names, find_skill
from rag_adapt.skills.skill import Skill

if TYPE_CHECKING:
    from rag_adapt.adapters.card import Card
    from rag_adapt.bench.figures import GuardFigures
    from rag_adapt.bench.plan import Plan
    from rag_adapt.bench.proof import Proof
    from rag_adapt.bench.tools import Indexed, Probe, Tools
    from rag_adapt.bench.training import Training
    from rag_adapt.engines.embedded import EmbeddedEngine
    from rag_adapt.models.loading import LoadedModel
    from rag_adapt.retrieval.options import SearchOptions
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
    open_choice = settings.embedder_precision == "auto" and settings.deterministic
    precision = "float32" if open_choice else settings.embedder_precision
    return open_embedder(files, device=settings.device, cache_path=cache, precision=precision)


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
    warm: Callable[[], Coroutine[Any, Any, object]] | None = None
    """Loads what the first answer would have to wait for."""
    end: Callable[[], Coroutine[Any, Any, None]] | None = None
    """Closes connections, in the event loop that opened them."""

    def tools(self) -> "Tools":
        """As the benchmark wants them."""
        from rag_adapt.bench.tools import Tools, nothing_to_end, unguarded

        return Tools(
            engine=self.engine,
            adapters=self.adapters,
            embedder=self.embedder,
            index=partial(index, self.settings, self.embedder),
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
        warm=local.late.ready,
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
    from rag_adapt.bench.proof import prove

    if settings.engine != "embedded":
        return await _proof_of(services(settings, progress), version)
    store, engine = adapter_store(settings), embedded_engine(settings, progress)
    weights = engine.loaded.files.weights
    try:
        await engine.load_adapter(_adapter_for(store, version, weights))
        return await prove(version, store=store, engine=engine, chat=engine.loaded.chat)
    finally:
        engine.close()


async def _proof_of(live: Services, version: str) -> "Proof":
    """What an engine of this moment says of an adapter; it is closed afterwards."""
    try:
        return await live.prove(version)
    finally:
        if live.end is not None:
            await live.end()
        live.close()


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where a vLLM server is."""

    api_base: str
    api_key: str | None


def vllm_address(settings: Settings) -> "Address":
    """Where the vLLM server is: as configured, else the one that `rag-adapt vllm` started.

    Raises:
        SettingsError: neither is known.
    """
    from rag_adapt.engines.vllm_server import VllmServer

    if settings.api_base is not None:
        key = None if settings.api_key is None else settings.api_key.get_secret_value()
        return Address(api_base=settings.api_base, api_key=key)
    record = VllmServer(settings.home).record()
    if record is None:
        raise SettingsError(
            "no vLLM server is known",
            hint="Start one with `rag-adapt vllm --start`, or set RAG_ADAPT_API_BASE (and "
            "RAG_ADAPT_API_KEY) to one that runs.",
        )
    return Address(api_base=record.api_base, api_key=record.api_key)


def _vllm_fingerprint(
    settings: Settings, files: ModelFiles, template: str, address: Address
) -> Fingerprint:
    """What the server computes in; its release is part of every key of the answer cache."""
    from rag_adapt.engines.vllm_server import VllmServer, release_of

    record = VllmServer(settings.home).record()
    ours = record is not None and record.api_base == address.api_base
    device = "remote" if record is None or not ours else "cuda" if record.plan.gpu else "cpu"
    return Fingerprint(
        engine="vllm",
        model=files.name,
        weights=files.weights,
        template_hash=template,
        dtype="bfloat16",
        device=device,
        deterministic=False,
        extra={"vllm": release_of(address.api_base) or "unknown"},
    )


def _vllm(settings: Settings, progress: Progress, *, guarded: bool) -> Services:
    from rag_adapt.adapters.plan import Base
    from rag_adapt.bench.on_vllm import OnVllm
    from rag_adapt.bench.trainer import Trainer
    from rag_adapt.engines.remote import RemoteEngine
    from rag_adapt.engines.vllm_client import VllmClient
    from rag_adapt.engines.vllm_server import VllmServer
    from rag_adapt.models.chat import ChatFormat

    address, files = vllm_address(settings), language_files(settings, progress)
    server = VllmServer(settings.home)
    template = ChatFormat.load(files.path, name=files.name).template_hash
    base = Base.of(
        files, device=settings.device, deterministic=settings.deterministic, four_bit=False
    )
    answers = RemoteEngine(
        f"hosted_vllm/{settings.vllm_served}",
        api_base=address.api_base,
        api_key=address.api_key,
        timeout=settings.timeout,
    )
    live = OnVllm(
        Trainer(files, base, template, adapter_store(settings)),
        answers=answers,
        client=VllmClient(address.api_base, api_key=address.api_key, base=settings.vllm_served),
        fingerprint=_vllm_fingerprint(settings, files, template, address),
        cache=settings.home / "cache",
        seen=settings.vllm_adapters,
        gpu=partial(server.paused, "a training has the GPU; vLLM is started again after it"),
        busy=server.away,
    )
    return Services(
        settings=settings,
        engine=live.engine,
        adapters=live.live,
        embedder=embedder(settings),
        train=live.train,
        prove=live.prove,
        warm=answers.ready,
        close=live.close,
        end=live.end,
    )


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
    return replace(_untrained(settings, cached), warm=engine.ready, end=engine.aclose)


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


def search_options(settings: Settings) -> "SearchOptions":
    """How collections are searched.

    Raises:
        CollectionError: a kind of links, or a level, is unknown.
    """
    from rag_adapt.retrieval.fuse import FusionWeights
    from rag_adapt.retrieval.linking.follow import Following
    from rag_adapt.retrieval.linking.registry import level_numbers, link_kinds
    from rag_adapt.retrieval.options import SearchOptions

    return SearchOptions(
        mode=settings.search_mode,
        weights=FusionWeights(
            rank_constant=settings.search_rank_constant, neighbours=settings.search_neighbours
        ),
        following=Following(
            kinds=link_kinds(settings.search_links),
            share=settings.search_link_share,
            levels=level_numbers(settings.search_levels),
        ),
    )


def searched_as(settings: Settings) -> str:
    """How routes search, in words: part of their identity."""
    return settings.retriever or search_options(settings).label


ENGINES: "dict[str, Callable[..., Services]]" = {
    "embedded": _embedded,
    "remote": _remote,
    "scripted": _scripted,
    "vllm": _vllm,
}


def index(
    settings: Settings, embedder: "Embedder", skill: Skill, plan: "Plan", progress: Progress
) -> "Indexed":
    from rag_adapt.bench.indexing import index_skill
    from rag_adapt.retrieval.langchain_retriever import load_retriever
    from rag_adapt.retrieval.remembered import VECTORS

    named = settings.retriever
    return index_skill(
        skill,
        plan,
        indexes=settings.indexes,
        embedder=embedder,
        options=search_options(settings),
        retriever=None if named is None else load_retriever(named),
        progress=progress,
        remembered=settings.home / VECTORS,
    )
