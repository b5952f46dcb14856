"""Keeps an unfinished training on disk, so that the same training goes on where it was stopped.

It does not know training: it stores named tensors and a few figures, whole or not at all.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from rag_adapt.adapters.card import DevPoint, LossPoint
from rag_adapt.adapters.store import sync_folder
from rag_adapt.core.errors import StorageError

if TYPE_CHECKING:
    import torch

FOLDER: Final = ".unfinished"
SUFFIX: Final = ".safetensors"
FRESH: Final = "checkpoint.new"
KEPT: Final = 24
"""Unfinished trainings on disk at once; the oldest go first. A sweep needs one for each trial."""


class Figures(BaseModel):
    """How far a training is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    step: int
    """Optimizer steps that are done."""
    seconds: float
    """Spent on them, over all starts."""
    shared: bool
    """Whether rows are packed."""
    before: float | None
    """Held-out bits per answer token under the base."""
    losses: tuple[LossPoint, ...]
    curve: tuple[DevPoint, ...]
    best_step: int | None
    pauses: tuple[DevPoint, ...] = ()
    """Where a sweep stopped and measured; these are no candidates for the weights to keep."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A training between two steps."""

    figures: Figures
    tensors: "Mapping[str, torch.Tensor]"
    """Weights, the best weights, the optimizer's state and the state of chance."""


@dataclass(frozen=True, kw_only=True)
class Unfinished:
    """The place of one training's checkpoint.

    Two processes with the same training may share it: every write is a whole file, and what one
    wrote is right for the other.
    """

    folder: Path
    """Of the adapter store."""
    key: str
    """Hash over all that determines the training: another training has another place."""
    scratch: Path
    """A private folder on the same file system."""

    @property
    def file(self) -> Path:
        return self.folder / FOLDER / f"{self.key}{SUFFIX}"

    def read(self) -> Checkpoint | None:
        """The checkpoint; None where there is none that can be read."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.file, framework="pt") as stored:
                figures = Figures.model_validate_json((stored.metadata() or {}).get("figures", ""))
                tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        except (FileNotFoundError, SafetensorError, ValidationError):
            return None
        return Checkpoint(figures=figures, tensors=tensors)

    def write(self, checkpoint: Checkpoint) -> None:
        """Replace what is kept.

        Raises:
            StorageError: it could not be written; what was kept before still is.
        """
        from safetensors import SafetensorError
        from safetensors.torch import save_file

        fresh = self.scratch / FRESH
        try:
            save_file(
                dict(checkpoint.tensors),
                fresh,
                metadata={"figures": checkpoint.figures.model_dump_json()},
            )
        except SafetensorError as exc:
            fresh.unlink(missing_ok=True)
            raise StorageError(
                f"cannot write {fresh}: {exc}",
                hint="Free some space or choose another folder with --home, then train again.",
            ) from exc
        with fresh.open("rb") as stream:
            os.fsync(stream.fileno())
        self.file.parent.mkdir(parents=True, exist_ok=True)
        fresh.replace(self.file)
        sync_folder(self.file.parent)
        self._forget_oldest()

    def remove(self) -> None:
        """The training is over."""
        self.file.unlink(missing_ok=True)
        with suppress(OSError):  # others are unfinished still, or nothing ever was
            self.file.parent.rmdir()

    def _forget_oldest(self) -> None:
        ages: dict[Path, float] = {}
        for file in self.file.parent.glob(f"*{SUFFIX}"):
            with suppress(FileNotFoundError):  # another process finished just now
                ages[file] = file.stat().st_mtime
        for file in sorted(ages, key=lambda file: ages[file])[:-KEPT]:
            file.unlink(missing_ok=True)
