"""Proofs of an engine's adapters: made in each process that asks them, remembered for the others.

It does not know how an adapter is shown to be active. A run whose every answer is already kept
asks nothing, so it may go by the proof under which those answers were made.
"""

import json
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rag_adapt.adapters.store import AdapterStore
from rag_adapt.bench.proof import Check, Proof, prove
from rag_adapt.bench.store import write_atomically
from rag_adapt.core.errors import NotProvenError
from rag_adapt.core.types import Fingerprint, content_hash
from rag_adapt.engines.late import LateEngine

if TYPE_CHECKING:
    from rag_adapt.engines.embedded import EmbeddedEngine

FORMAT: Final = 1
"""Part of every key: a change of what a proof compares finds none of the old."""


class Proofs:
    """The proofs of one engine.

    Args:
        store: Where the adapters and their stored references are.
        folder: Where proofs are remembered.
        fingerprint: Of the engine; another model or library is another proof.
    """

    def __init__(self, store: AdapterStore, folder: Path, fingerprint: Fingerprint) -> None:
        self._store, self._folder, self._fingerprint = store, folder, fingerprint
        self._made: dict[str, Proof] = {}

    async def check(self, version: str, engine: "EmbeddedEngine") -> None:
        """Prove an adapter that this engine has loaded.

        Raises:
            NotProvenError: it was not shown to be active.
        """
        proof = await prove(version, store=self._store, engine=engine, chat=engine.loaded.chat)
        self._made[version] = proof
        if proof.proven:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomically(self._file(version), json.dumps(asdict(proof)) + "\n")
        proof.require()

    async def of(self, version: str, engine: LateEngine) -> Proof:
        """This process's proof; the remembered one while the engine was not needed."""
        if not engine.started and (known := self._remembered(version)) is not None:
            return known
        with suppress(NotProvenError):
            await engine.ready(version)
        return self._made[version]

    def _remembered(self, version: str) -> Proof | None:
        try:
            kept = json.loads(self._file(version).read_text())
            checks = tuple(Check(**check) for check in kept.pop("checks"))
            return Proof(**kept, checks=checks)
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def _file(self, version: str) -> Path:
        key = content_hash([FORMAT, version, asdict(self._fingerprint)], digits=32)
        return self._folder / f"{key}.json"
