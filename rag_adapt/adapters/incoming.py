"""Where uploaded adapters wait until a job imports them: checked, plain, named by content.

It does not know HTTP or jobs. Nothing here is served: the store is another folder.
"""

import json
import os
import re
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final
from uuid import uuid4

from rag_adapt.adapters.store import AdapterStore
from rag_adapt.adapters.upload import Taken
from rag_adapt.core.errors import AdapterError

FOLDER: Final = ".incoming"
INSIDE: Final = "adapter"
TAKEN_FILE: Final = "taken.json"
PRIVATE: Final = ".work-"
KEPT: Final = 4
"""Uploads that stay beside those that jobs wait for."""
STALE_SECONDS: Final = 3600.0
"""After which a private folder belongs to a process that is gone."""
_DIGITS: Final = re.compile(r"[0-9a-f]{12}")


@dataclass(frozen=True, kw_only=True)
class Upload:
    """One adapter that waits."""

    folder: Path
    taken: Taken


class Incoming:
    """The uploads of one store.

    Args:
        store: They lie in a hidden folder of it.
    """

    def __init__(self, store: AdapterStore) -> None:
        self._folder = store.folder / FOLDER

    @contextmanager
    def workspace(self) -> Iterator[Path]:
        """A private folder with an empty `adapter` in it; gone afterwards."""
        place = self._folder / f"{PRIVATE}{uuid4().hex[:12]}"
        (place / INSIDE).mkdir(parents=True)
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def keep(self, place: Path, taken: Taken) -> None:
        """Let what was made in a workspace wait under its digits; the same upload twice is one."""
        (place / TAKEN_FILE).write_text(json.dumps(asdict(taken)), encoding="utf-8")
        target = self._folder / taken.digits
        if target.is_dir():
            os.utime(target)
            return
        fresh = place.with_name(f"{PRIVATE}{uuid4().hex[:12]}")
        fresh.mkdir()
        for name in (INSIDE, TAKEN_FILE):
            (place / name).rename(fresh / name)
        fresh.rename(target)

    def find(self, digits: str) -> Upload:
        """What waits under these digits.

        Raises:
            AdapterError: nothing does.
        """
        folder = self._folder / digits
        if _DIGITS.fullmatch(digits) is None or not folder.is_dir():
            raise AdapterError(
                f"no upload {digits[:40]!r} waits to be imported",
                hint="Upload it again: POST /v1/adapters/upload.",
            )
        known = json.loads((folder / TAKEN_FILE).read_text(encoding="utf-8"))
        return Upload(folder=folder / INSIDE, taken=Taken(**known))

    def prune(self, *, spare: Collection[str]) -> None:
        """Delete uploads that nothing waits for, but the newest, and what dead processes left.

        Args:
            spare: Digits that jobs will ask for.
        """
        if not self._folder.is_dir():
            return
        times = {path: path.stat().st_mtime for path in self._folder.iterdir()}
        waiting = sorted(
            (path for path in times if _DIGITS.fullmatch(path.name) and path.name not in spare),
            key=lambda path: times[path],
            reverse=True,
        )
        stale = [
            path
            for path, changed in times.items()
            if path.name.startswith(PRIVATE) and time.time() - changed > STALE_SECONDS
        ]
        for path in (*waiting[KEPT:], *stale):
            shutil.rmtree(path, ignore_errors=True)
