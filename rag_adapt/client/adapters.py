"""Trained weights: listed, trained, uploaded, proven, chosen, held by the engine, deleted.

It does not know how adapters are trained, proven or kept.
"""

from collections.abc import Sequence

from rag_adapt.client.connection import Connection, Method, Request, Upload, fresh_key, path
from rag_adapt.schemas.adapters import (
    Pointer,
    Removed,
    ResidentAdapter,
    ResidentList,
    TrainingProgress,
    TrainRequest,
)
from rag_adapt.schemas.catalog import AdapterInfo, AdapterList
from rag_adapt.schemas.jobs import JobInfo
from rag_adapt.schemas.records import Card


class Adapters:
    """`client.adapters`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def all(self) -> list[AdapterInfo]:
        """All stored ones, by version.

        Raises:
            ApiError: the service gave no list.
        """
        return self._connection.fetch(AdapterList, Request(path="/v1/adapters")).data

    def show(self, version: str) -> Card:
        """What it was trained on, how, what that cost, and how well it did on dev.

        Raises:
            ApiError: `adapter-not-found`.
        """
        return self._connection.fetch(Card, Request(path=path("adapters", version)))

    def train(self, order: TrainRequest, *, key: str | None = None) -> JobInfo:
        """Make a job of a training; its `result` is the path of the adapter.

        Args:
            order: What shall be learnt.
            key: One key makes one job, however often it is sent; a new one by default.

        Raises:
            ApiError: it cannot be trained, or too many jobs wait.
        """
        request = Request(method="POST", path="/v1/adapters", body=order, key=key or fresh_key())
        return self._connection.fetch(JobInfo, request)

    def training(self, job: str) -> TrainingProgress:
        """Loss and held-out code length of a training job so far, step by step.

        Raises:
            ApiError: `job-not-found`.
        """
        return self._connection.fetch(TrainingProgress, Request(path=path("jobs", job, "training")))

    def upload(
        self,
        files: Sequence[Upload],
        *,
        name: str,
        skill: str,
        context: bool = False,
        key: str | None = None,
    ) -> JobInfo:
        """Send a LoRA that PEFT wrote; a job probes it, and its `result` is the adapter's path.

        Args:
            files: `adapter_config.json` and `adapter_model.safetensors`, or one archive of them.
            name: Of the adapter.
            skill: Whose route it shall serve.
            context: Whether it was trained with retrieved passages, for `rag+lora`.
            key: One key makes one job, however often it is sent; a new one by default.

        Raises:
            ApiError: it is no adapter, or none for this base model.
        """
        request = Request(
            method="POST",
            path="/v1/adapters/upload",
            form={"name": name, "skill": skill, "context": str(context).lower()},
            files=[("files", one) for one in files],
            patience="upload",
            key=key or fresh_key(),
        )
        return self._connection.fetch(JobInfo, request)

    def prove(self, version: str, *, key: str | None = None) -> JobInfo:
        """Make a job of a fresh proof; it fails where the adapter is not active.

        Raises:
            ApiError: `adapter-not-found`, or too many jobs wait.
        """
        place = path("adapters", version, "prove")
        request = Request(method="POST", path=place, key=key or fresh_key())
        return self._connection.fetch(JobInfo, request)

    def make_current(self, version: str) -> Pointer:
        """From now on its name means this version.

        Raises:
            ApiError: `adapter-not-found`.
        """
        place = path("adapters", version, "current")
        return self._connection.fetch(Pointer, Request(method="POST", path=place, repeatable=True))

    def delete(self, version: str, *, current: bool = False) -> Removed:
        """Delete its files.

        Args:
            version: `name@sha12`.
            current: Whether it is deleted even though its name points to it.

        Raises:
            ApiError: `adapter-in-use`: it is current, or a job may be reading it.
        """
        query = {"current": current or None}
        request = Request(method="DELETE", path=path("adapters", version), query=query)
        return self._connection.fetch(Removed, request)

    def resident(self) -> list[ResidentAdapter]:
        """What the engine holds, proven; the least recently used first, which goes first.

        Raises:
            ApiError: `no-residents`: this engine holds none.
        """
        return self._connection.fetch(ResidentList, Request(path="/v1/adapters/resident")).data

    def load(self, version: str) -> list[ResidentAdapter]:
        """Load and prove it before anybody asks for it; what the engine holds then.

        Raises:
            ApiError: `adapter-not-found`, `not-proven`, or the engine cannot hold it.
        """
        return self._held("POST", version, "load")

    def unload(self, version: str) -> list[ResidentAdapter]:
        """Take it out of the engine once no request uses it; what is left.

        Raises:
            ApiError: `adapter-not-found`, or the engine would not let it go.
        """
        return self._held("POST", version, "unload")

    def pin(self, version: str) -> list[ResidentAdapter]:
        """Load it and keep it loaded.

        Raises:
            ApiError: as with `load`, or too many are pinned.
        """
        return self._held("PUT", version, "pin")

    def unpin(self, version: str) -> list[ResidentAdapter]:
        """Let it go when its place is needed.

        Raises:
            ApiError: `adapter-not-found`.
        """
        return self._held("DELETE", version, "pin")

    def _held(self, method: Method, version: str, what: str) -> list[ResidentAdapter]:
        """Each leaves a state: twice is as good as once. It may wait for answers to end."""
        request = Request(
            method=method,
            path=path("adapters", version, what),
            patience="answer",
            repeatable=True,
        )
        return self._connection.fetch(ResidentList, request).data
