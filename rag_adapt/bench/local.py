"""The benchmark's tools for weights that are ours: train, prove, guard and probe, one engine.

It does not know settings; model, store and folders are handed in. Nothing is loaded before a
question needs it.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rag_adapt.adapters.plan import Base
from rag_adapt.adapters.store import AdapterStore
from rag_adapt.bench.arms import Search
from rag_adapt.bench.evidence import ProbeTools, probe, probe_plan
from rag_adapt.bench.features import Features, features_from_json
from rag_adapt.bench.figures import GuardFigures
from rag_adapt.bench.proof import Proof
from rag_adapt.bench.reference import Embeds, NearestPool
from rag_adapt.bench.remembered import Guards, Memory, Proofs
from rag_adapt.bench.trainer import Trainer
from rag_adapt.core.protocols import Progress
from rag_adapt.core.types import Example, Fingerprint, Item, content_hash
from rag_adapt.engines.cached import CachedEngine
from rag_adapt.engines.late import LateEngine
from rag_adapt.models.files import ModelFiles
from rag_adapt.skills.skill import Skill

if TYPE_CHECKING:
    from rag_adapt.engines.embedded import EmbeddedEngine


class Local:
    """One model of ours with its adapters.

    Args:
        files: The model.
        fingerprint: What its engine computes in.
        start: Loads it.
        store: Where adapters live.
        cache: Folder of answers, proofs and guards.
        others: Skills that adapters may damage; None guards nothing.
        progress: Of guards.
    """

    def __init__(
        self,
        *,
        files: ModelFiles,
        fingerprint: Fingerprint,
        start: "Callable[[], EmbeddedEngine]",
        store: AdapterStore,
        cache: Path,
        others: Sequence[Skill] | None,
        progress: Progress,
    ) -> None:
        base = Base(
            name=files.name,
            path=files.path,
            weights_hash=files.weights,
            device=fingerprint.device,
            dtype="float32" if fingerprint.dtype == "float32" else "bfloat16",
        )
        self._trainer = Trainer(files, base, fingerprint.template_hash or "", store)
        self.train = self._trainer.train
        self._memory = Memory(cache / "proofs", fingerprint)
        self._proofs = Proofs(store, self._memory)
        self._guards = None if others is None else Guards(others, self._memory, progress)
        self.late = LateEngine(
            fingerprint,
            start=start,
            lookup=self._trainer.lookup,
            check=self._proofs.check,
            before=None if self._guards is None else self._guards.before,
        )
        self.engine = CachedEngine(self.late, cache)

    async def prove(self, version: str) -> Proof:
        """An adapter's proof; remembered while the engine is not needed."""
        return await self._proofs.of(version, self.late)

    async def guard(self, version: str, skill: str) -> tuple[GuardFigures, ...]:
        """What a proven adapter of this skill damaged; nothing where nothing is guarded."""
        return () if self._guards is None else await self._guards.of(version, skill, self.late)

    def probe(
        self,
        skill: Skill,
        learn: Sequence[Item],
        *,
        search: Search | None,
        embedder: Embeds,
        seed: int,
        runner: asyncio.Runner,
        progress: Progress,
    ) -> Features:
        """Cheap probes of a skill, remembered by skill, examples and documents."""
        ids = content_hash([item.id for item in learn])
        searched = "" if search is None else search.collection
        key = ("probe-in-order", skill.data_hash, ids, searched, str(seed))
        if (known := self._memory.recall(*key)) is not None:
            return features_from_json(known)
        chat = self._trainer.chat()
        examples = [Example(input=item.input, output=item.targets[0]) for item in learn]
        tools = ProbeTools(
            engine=self.engine,
            runner=runner,
            train=lambda items: self._train_probe(skill, items, seed, progress),
            load=self.late.ensure_loaded,
            count_tokens=lambda text: len(chat.answer_ids(text)) - 1,
            nearest=NearestPool(examples, embedder),
            retriever=None if search is None else search.retriever,
            documents=None if search is None else len(search.documents),
        )
        found = probe(skill, learn, tools, seed=seed, progress=progress)
        self._memory.keep(found.as_json(), *key)
        return found

    def close(self) -> None:
        """End the engine and close the cache."""
        self.engine.close()
        self.late.close()

    def _train_probe(
        self, skill: Skill, items: Sequence[Item], seed: int, progress: Progress
    ) -> str:
        return self._trainer.trained(probe_plan(skill, items, seed=seed), progress).version
