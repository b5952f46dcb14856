"""Proofs and guards of an engine's adapters: made where the engine runs, remembered elsewhere.

It does not know how an adapter is proven or guarded. A run whose every answer is already kept
asks nothing, so it may go by the proof under which those answers were made.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rag_adapt.adapters.store import AdapterStore
from rag_adapt.bench.figures import GuardFigures
from rag_adapt.bench.guard import Baseline, guard, measure_base
from rag_adapt.bench.guard_halves import halves_hash
from rag_adapt.bench.proof import Check, Proof, prove
from rag_adapt.bench.store import write_atomically
from rag_adapt.core.errors import NotProvenError
from rag_adapt.core.protocols import Progress
from rag_adapt.core.types import Fingerprint, content_hash
from rag_adapt.engines.late import LateEngine
from rag_adapt.skills.skill import Skill

if TYPE_CHECKING:
    from rag_adapt.engines.embedded import EmbeddedEngine

FORMAT: Final = 1
"""Part of every key: a change of what is compared finds none of the old."""


class Memory:
    """Small JSON values about one engine.

    Args:
        folder: Where they are kept.
        fingerprint: Of the engine; another model or library is another value.
    """

    def __init__(self, folder: Path, fingerprint: Fingerprint) -> None:
        self._folder, self._fingerprint = folder, fingerprint

    def recall(self, *key: str) -> Any:
        """The value, or None where there is none or it is damaged."""
        try:
            return json.loads(self._file(key).read_text())
        except (OSError, ValueError):
            return None

    def keep(self, value: Any, *key: str) -> None:
        """Remember a value."""
        self._folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self._file(key), json.dumps(value) + "\n")

    def _file(self, key: Sequence[str]) -> Path:
        name = content_hash([FORMAT, list(key), asdict(self._fingerprint)], digits=32)
        return self._folder / f"{name}.json"


class Proofs:
    """The proofs of one engine.

    Args:
        store: Where the adapters and their stored references are.
        memory: Where proofs are remembered.
    """

    def __init__(self, store: AdapterStore, memory: Memory) -> None:
        self._store, self._memory = store, memory
        self._made: dict[str, Proof] = {}

    async def check(self, version: str, engine: "EmbeddedEngine") -> None:
        """Prove an adapter that this engine has loaded.

        Raises:
            NotProvenError: it was not shown to be active.
        """
        proof = await prove(version, store=self._store, engine=engine, chat=engine.loaded.chat)
        self._made[version] = proof
        if proof.proven:
            self._memory.keep(asdict(proof), "proof", version)
        proof.require()

    async def of(self, version: str, engine: LateEngine) -> Proof:
        """This process's proof; the remembered one while the engine was not needed."""
        if not engine.started and (known := _proof(self._memory.recall("proof", version))):
            return known
        with suppress(NotProvenError):
            await engine.ready(version)
        return self._made[version]


class Guards:
    """What adapters damaged, compared with what the base did before any was loaded.

    Args:
        others: Skills that adapters may have damaged.
        memory: Where figures are remembered.
        progress: Stage `guard`.
    """

    def __init__(self, others: Sequence[Skill], memory: Memory, progress: Progress) -> None:
        self._others, self._memory, self._progress = tuple(others), memory, progress
        self._base: Baseline | None = None

    async def before(self, engine: "EmbeddedEngine") -> None:
        """Measure the base, before the engine loads its first adapter."""
        self._base = await measure_base(engine=engine, others=self._others, progress=self._progress)

    async def of(self, version: str, skill: str, engine: LateEngine) -> tuple[GuardFigures, ...]:
        """The figures of a proven adapter of this skill."""
        key = ("guard", halves_hash(), version, *(other.data_hash for other in self._others))
        if (known := self._memory.recall(*key)) is not None:
            return tuple(GuardFigures(**row) for row in known)
        asked = await engine.ready(version)
        assert self._base is not None  # measured before the first adapter was loaded
        rows = await guard(
            version, engine=asked, base=self._base, skill=skill, progress=self._progress
        )
        self._memory.keep([row.model_dump() for row in rows], *key)
        return rows


def _proof(kept: Any) -> Proof | None:
    try:
        checks = tuple(Check(**check) for check in kept["checks"])
        return Proof(proven=kept["proven"], reason=kept["reason"], checks=checks)
    except (TypeError, KeyError):
        return None
