"""Keeps adapters as immutable folders named by content: `<home>/adapters/<name>@<sha12>/`.

It does not know training or engines. What is published is complete: a folder appears by rename.
"""

import json
import os
import re
import shutil
import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from rag_adapt.adapters.card import NAME_PATTERN, Card
from rag_adapt.adapters.check import (
    RETRAIN,
    WEIGHTS_FILE,
    read_config,
    read_header,
    refuse_pickles,
    validate,
    weights_hash,
)
from rag_adapt.adapters.probe import PROBE_FILE, Probe, read_probe
from rag_adapt.core.errors import AdapterError
from rag_adapt.core.types import AdapterRef

CARD_FILE: Final = "card.json"
CURRENT_FILE: Final = "current.json"
LOCK_FILE: Final = ".lock"
OWNER_FILE: Final = ".owner"
WORK: Final = ".work-"
WORK_INSIDE: Final = "adapter"
_VERSION: Final = re.compile(r"(?P<name>[a-z0-9-]{3,48})@(?P<digits>[0-9a-f]{12})")
_LIST: Final = "`rag-adapt adapters list` shows what there is."


class AdapterStore:
    """The adapters of one home.

    Args:
        home: The home folder; adapters live in `home/adapters/`.
    """

    def __init__(self, home: Path) -> None:
        self.folder = home / "adapters"

    @contextmanager
    def workspace(self) -> Iterator[Path]:
        """A private folder to prepare an adapter in; gone afterwards, also after an error.

        A killed process leaves its folder behind; the next one to ask for a workspace removes it.
        """
        from filelock import FileLock

        place = self._unused()
        with self._locked():
            self._sweep()
            (place / WORK_INSIDE).mkdir(parents=True)
            owner = FileLock(place / OWNER_FILE)
            owner.acquire()
        try:
            yield place / WORK_INSIDE
        finally:
            shutil.rmtree(place, ignore_errors=True)
            owner.release()

    def publish(
        self, work: Path, card: Card, *, base_modules: Collection[str] | None = None
    ) -> Card:
        """Make a finished adapter available, and current for its name.

        The same weights published twice are one version: the first folder and card stay.

        Args:
            work: A workspace with weights, configuration and probe.
            card: Without its version.
            base_modules: Names of the base model's linear modules, to check targets against.

        Returns:
            The card as stored, with its version.

        Raises:
            AdapterError: the name is not allowed, or a server would refuse the adapter.
        """
        check_name(card.name)
        validate(work, base_modules=base_modules)
        version = f"{card.name}@{weights_hash(work)}"
        stored = card.model_copy(update={"version": version})
        (work / CARD_FILE).write_text(stored.model_dump_json(indent=2) + "\n", encoding="utf-8")
        _sync(work)
        with self._locked():
            self._place(work, version)
            self._write_current({**self._current(), card.name: version})
        return self.card(version)

    def get(self, version: str) -> AdapterRef:
        """Verify an adapter and say where it lies.

        Raises:
            AdapterError: no such version, a pickle in it, or its content is not what it was.
        """
        folder = self._existing(version)
        refuse_pickles(folder)
        read_header(folder / WEIGHTS_FILE)
        if (found := weights_hash(folder)) != version.partition("@")[2]:
            raise AdapterError(
                f"adapter {version!r} is corrupt: its content hashes to {found!r}", hint=RETRAIN
            )
        rank = int(read_config(folder)["r"])
        return AdapterRef(version=version, path=str(folder.resolve()), rank=rank)

    def check_base(self, version: str, base_hash: str) -> None:
        """Stop if an adapter was trained on other base weights.

        Raises:
            AdapterError: naming both models.
        """
        card = self.card(version)
        if card.weights_hash != base_hash:
            raise AdapterError(
                f"adapter {version!r} was trained on {card.base_model!r} (weights "
                f"{card.weights_hash}), not on the loaded model (weights {base_hash})",
                hint=f"Choose that model with --model {card.base_model}, or train an adapter for "
                f"this one: `rag-adapt adapters train {card.skill}`.",
            )

    def list(self) -> tuple[Card, ...]:
        """The cards of all adapters, by version; `broken` names those without a readable one."""
        return tuple(self.card(version) for version in self._versions() if self._readable(version))

    def broken(self) -> tuple[str, ...]:
        """Versions whose card cannot be read."""
        return tuple(version for version in self._versions() if not self._readable(version))

    def card(self, version: str) -> Card:
        """What is known about an adapter.

        Raises:
            AdapterError: no such version, or its card cannot be read.
        """
        file = self._existing(version) / CARD_FILE
        try:
            return Card.model_validate_json(file.read_bytes())
        except (FileNotFoundError, ValidationError) as exc:
            raise AdapterError(
                f"adapter {version!r} has no readable {CARD_FILE}: {exc}", hint=RETRAIN
            ) from exc

    def probe(self, version: str) -> Probe:
        """The references stored when the adapter was trained.

        Raises:
            AdapterError: no such version, or it has no readable probe.
        """
        return read_probe(self._existing(version) / PROBE_FILE)

    def find(self, name_or_version: str) -> str:
        """The version meant: itself, or the current one of a name.

        Raises:
            AdapterError: nothing of that name.
        """
        if _VERSION.fullmatch(name_or_version):
            self._existing(name_or_version)
            return name_or_version
        version = self._current().get(name_or_version)
        if version is None or not (self.folder / version).is_dir():
            raise AdapterError(f"there is no adapter {name_or_version!r}", hint=_LIST)
        return version

    def current(self, name: str) -> str | None:
        """The version that a name points to; None where nothing of that name is current."""
        return self._current().get(name)

    def set_current(self, version: str) -> None:
        """Let a name point to this version.

        Raises:
            AdapterError: no such version.
        """
        self._existing(version)
        with self._locked():
            self._write_current({**self._current(), version.partition("@")[0]: version})

    def remove(self, version: str) -> None:
        """Delete an adapter's files; its name points nowhere if it pointed here.

        Unload it first: a server that has it registered fails when the files are gone.

        Raises:
            AdapterError: no such version.
        """
        folder = self._existing(version)
        with self._locked():
            pointers = {n: v for n, v in self._current().items() if v != version}
            self._write_current(pointers)
            gone = self._unused()
            folder.rename(gone)
            shutil.rmtree(gone)

    def _existing(self, version: str) -> Path:
        if _VERSION.fullmatch(version) is None:
            raise AdapterError(
                f"{version!r} is not an adapter version",
                hint=f"A version is name@ and twelve hex digits. {_LIST}",
            )
        folder = self.folder / version
        if not folder.is_dir():
            raise AdapterError(f"there is no adapter {version!r} in {self.folder}", hint=_LIST)
        return folder

    def _place(self, work: Path, version: str) -> None:
        target = self.folder / version
        if target.is_dir():
            if self._intact(version):
                return
            target.rename(self._unused())
        work.rename(target)
        sync_folder(self.folder)

    def _unused(self) -> Path:
        return self.folder / f"{WORK}{uuid.uuid4().hex[:12]}"

    def _versions(self) -> Iterator[str]:
        for folder in sorted(self.folder.glob("*@*")):
            if _VERSION.fullmatch(folder.name) and folder.is_dir():
                yield folder.name

    def _readable(self, version: str) -> bool:
        try:
            self.card(version)
        except AdapterError:
            return False
        return True

    def _intact(self, version: str) -> bool:
        try:
            self.get(version)
            self.card(version)
        except AdapterError:
            return False
        return True

    def _sweep(self) -> None:
        """Remove what dead processes left; call it under the lock."""
        from filelock import FileLock, Timeout

        for path in self.folder.glob(f"{WORK}*"):
            owner = FileLock(path / OWNER_FILE)
            try:
                owner.acquire(blocking=False)
            except Timeout:
                continue
            shutil.rmtree(path, ignore_errors=True)
            owner.release()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        from filelock import FileLock

        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / LOCK_FILE):
            yield

    def _current(self) -> dict[str, str]:
        file = self.folder / CURRENT_FILE
        try:
            pointers = json.loads(file.read_text(encoding="utf-8"))
            return {str(name): str(version) for name, version in pointers.items()}
        except FileNotFoundError:
            return {}
        except (ValueError, AttributeError) as exc:
            raise AdapterError(
                f"{file} is not readable: {exc}",
                hint="Delete it, then name adapters by their full version.",
            ) from exc

    def _write_current(self, pointers: Mapping[str, str]) -> None:
        fresh = self.folder / f"{CURRENT_FILE}.new"
        with fresh.open("w", encoding="utf-8") as stream:
            json.dump(dict(sorted(pointers.items())), stream, indent=2)
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(self.folder / CURRENT_FILE)
        sync_folder(self.folder)


def check_name(name: str) -> None:
    """Stop if a name cannot be an adapter's.

    Raises:
        AdapterError: it is not 3 to 48 of a-z, 0-9 and hyphen.
    """
    if re.fullmatch(NAME_PATTERN, name) is None:
        raise AdapterError(
            f"{name!r} cannot name an adapter",
            hint="Use 3 to 48 characters of a-z, 0-9 and hyphen, for example --name orders-v2.",
        )


def _sync(folder: Path) -> None:
    for file in folder.iterdir():
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
    sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Make what was renamed into a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
