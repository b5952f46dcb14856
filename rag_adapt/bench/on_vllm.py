"""The benchmark's tools for a vLLM server that serves a model of ours: train here, answer there.

It does not know settings; server, model, store and folders are handed in.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Final

from rag_adapt.adapters.card import Card
from rag_adapt.bench.proof import Check, Proof, conclude, prove
from rag_adapt.bench.trainer import Trainer
from rag_adapt.bench.training import Training
from rag_adapt.core.errors import EngineError, NotProvenError
from rag_adapt.core.protocols import Progress
from rag_adapt.core.types import AdapterRef, Fingerprint, Message, content_hash
from rag_adapt.engines.cached import CachedEngine
from rag_adapt.engines.vllm import Answers, Ours, VllmEngine
from rag_adapt.engines.vllm_client import VllmClient
from rag_adapt.engines.vllm_null import write_null
from rag_adapt.models.chat import ChatFormat

GREETING: Final = (Message(role="user", content="Which template is this?"),)
"""Rendered by both sides, to see that they agree."""
NULLS: Final = ".unchanged"
"""Folder beside the adapters, for the one that changes nothing."""


class OnVllm:
    """One model of ours, served by vLLM.

    Args:
        trainer: Trains and finds adapters.
        answers: Asks the server for answers.
        client: Asks the server for everything else.
        fingerprint: What the server computes in.
        cache: Folder of answers.
        seen: Where the server sees the home's adapters; None where it sees the same paths.
        gpu: Gives the GPU to a training for a while.
        busy: Says why the server is away on purpose.
    """

    def __init__(
        self,
        trainer: Trainer,
        *,
        answers: Answers,
        client: VllmClient,
        fingerprint: Fingerprint,
        cache: Path,
        seen: Path | None,
        gpu: Callable[[Progress], AbstractContextManager[None]],
        busy: Callable[[], str | None],
    ) -> None:
        self._trainer, self._client, self._gpu = trainer, client, gpu
        self._seen = seen
        self._chat: ChatFormat | None = None
        self._made: dict[str, Proof] = {}
        ours = Ours(lookup=trainer.lookup, seen=self._folder, prove=self._check, null=self._null)
        self.live = VllmEngine(answers, client, ours, fingerprint, busy=busy)
        self.engine = CachedEngine(self.live, cache)

    def train(self, training: Training, progress: Progress) -> Card:
        """An adapter's card; on one GPU the server makes room for the training."""
        plan = training.as_plan()
        if (known := self._trainer.known(plan)) is not None:
            return known
        with self._gpu(progress):
            return self._trainer.trained(plan, progress)

    async def prove(self, version: str) -> Proof:
        """The proof that was made when the server loaded the adapter."""
        with suppress(NotProvenError):
            await self.live.ensure_loaded(version)
        return self._made[version]

    async def end(self) -> None:
        """Close connections."""
        await self.live.aclose()

    def close(self) -> None:
        """Close the cache."""
        self.engine.close()

    async def _check(self, version: str) -> None:
        chat = await asyncio.to_thread(self._loaded_chat)
        rendered = await self._client.render(GREETING)
        proof = await prove(
            version, store=self._trainer.store, engine=self._client, chat=chat, quickly=True
        )
        if not proof.proven and version not in await self._client.models():
            raise EngineError(
                f"the vLLM server lost adapter {version!r} while it was being proven",
                hint="It was started again meanwhile: ask once more.",
            )
        proof = _and_rendering(proof, ours=chat.render(GREETING), served=rendered)
        self._made[version] = proof
        proof.require()

    def _loaded_chat(self) -> ChatFormat:
        if self._chat is None:
            self._chat = self._trainer.chat()
        return self._chat

    def _folder(self, ref: AdapterRef) -> str:
        """As the server sees it: it may run in a container with the folder mounted elsewhere."""
        if self._seen is None:
            return ref.path
        return str(self._seen / Path(ref.path).relative_to(self._trainer.store.folder.resolve()))

    def _null(self) -> AdapterRef:
        return write_null(self._trainer.store.folder / NULLS, self._trainer.files.path)


def _and_rendering(proof: Proof, *, ours: tuple[int, ...], served: tuple[int, ...]) -> Proof:
    """The proof, its template check widened: the server renders the same tokens as we do."""
    if ours == served:
        return proof
    detail = f"{content_hash(list(ours))} are our tokens of a prompt, {content_hash(list(served))} "
    wrong = Check(name="template", passed=False, detail=detail + "the server's")
    return conclude([wrong if check.name == "template" else check for check in proof.checks])
