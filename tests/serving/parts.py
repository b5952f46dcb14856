"""A service on the scripted engine, with skills and adapters of its own, for several tests."""

import asyncio
import shutil
from collections.abc import Callable, Coroutine
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rag_adapt.adapters.card import Card
from rag_adapt.adapters.store import AdapterStore
from rag_adapt.bench.arms import Search
from rag_adapt.bench.indexing import index_skill
from rag_adapt.bench.plan import Plan
from rag_adapt.bench.proof import Proof, declared
from rag_adapt.cli.app import run
from rag_adapt.core.protocols import Silent
from rag_adapt.core.types import content_hash
from rag_adapt.engines.scripted import ScriptedEngine
from rag_adapt.retrieval.embed import HashingEmbedder
from rag_adapt.retrieval.options import PLAIN
from rag_adapt.serving.answering import TokenScores
from rag_adapt.serving.catalogue import Catalogue, Live
from rag_adapt.serving.service import Service
from rag_adapt.serving.traces import TraceBook
from rag_adapt.skills.load import load_skill
from rag_adapt.skills.skill import Skill
from tests.adapters.samples import card as plain_card
from tests.adapters.samples import write_adapter
from tests.samples import write_skill

HOME = Path("home")
Prove = Callable[[str], Coroutine[Any, Any, Proof]]


def imported(name: str = "colours", *, corpus: bool = True) -> Path:
    """A skill in the home of the test's folder."""
    return write_skill(HOME / "skills" / name, corpus=corpus)


def indexed(skill: Skill) -> Search:
    """Its documents, searched by words."""
    plan = Plan(skills=(skill,), arms=("rag",), top_k=2)
    found = index_skill(
        skill,
        plan,
        indexes=Path("indexes"),
        embedder=HashingEmbedder(),
        options=PLAIN,
        retriever=None,
        progress=Silent(),
    )
    return found.search


async def declared_proof(version: str) -> Proof:
    """Every adapter is what its name says."""
    return declared(version, version.rpartition("@")[2])


def live(engine: ScriptedEngine | None = None, *, prove: Prove = declared_proof) -> Live:
    """What answers."""
    made = engine or ScriptedEngine()
    return Live(
        engine=made,
        adapters=made.adapters,
        embedder=HashingEmbedder(),
        store=AdapterStore(HOME),
        home=HOME,
        index=indexed,
        prove=prove,
    )


async def warm() -> None:
    """Nothing is loaded."""


def service(
    engine: ScriptedEngine | None = None,
    *,
    prove: Prove = declared_proof,
    scores: TokenScores | None = None,
) -> Service:
    """A service that looks at its files at every request."""
    parts = live(engine, prove=prove)
    return Service(
        parts,
        traces=TraceBook(HOME),
        scores=scores,
        warm=warm,
        catalogue=Catalogue(parts, fresh=0.0),
    )


def published(
    engine: ScriptedEngine,
    *,
    skill: str = "colours",
    name: str | None = None,
    fill: float = 1.0,
    **more: Any,
) -> Card:
    """A current adapter of a skill, which the scripted engine knows."""
    store, found = AdapterStore(HOME), load_skill(HOME / "skills" / skill)
    with_context = bool(more.get("with_context"))
    template = found.context if with_context else found.prompt
    assert template is not None
    fields = {
        "skill": skill,
        "skill_hash": found.data_hash,
        "template_hash": template.hash,
        **more,
    }
    with store.workspace() as work:
        write_adapter(work, fill=fill)
        made = store.publish(work, plain_card(name or skill, **fields))
    engine.adapters.declare(made.version)
    return made


_KEPT = TemporaryDirectory(prefix="rag-adapt-runs-")
"""Runs are copied from here: a benchmark of the same skill is asked once for all tests."""


def benched(skill: str = "colours", *more: str) -> None:
    """Run the skill's benchmark on the scripted engine, as a user would."""
    key = content_hash([load_skill(HOME / "skills" / skill).data_hash, *more])
    kept = Path(_KEPT.name) / key
    if not kept.exists():
        arguments = ["--engine", "scripted", "--embedder", "hashing", "--arms", "prompt,rag"]
        assert run(["--home", str(HOME), "bench", skill, *arguments, *more]) == 0
        shutil.copytree(HOME / "runs", kept)
    shutil.copytree(kept, HOME / "runs", dirs_exist_ok=True)


def opened(one: Service, model: str) -> Any:
    """What the catalogue opens for a name."""
    return asyncio.run(one.catalogue.open(model))
