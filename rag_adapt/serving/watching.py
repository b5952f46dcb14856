"""Says whether files changed since they were last looked at, without reading them.

It does not know what is in them.
"""

from collections.abc import Iterable
from pathlib import Path

from rag_adapt.adapters.store import CURRENT_FILE
from rag_adapt.bench.store import REPORT
from rag_adapt.skills.load import find_folder

Stamp = tuple[str, int, int]
"""Path, time of the last change in nanoseconds, bytes."""
State = tuple[tuple[Stamp, ...], ...] | tuple[Stamp, ...]


def skill_state(name: str, home: Path) -> tuple[Stamp, ...]:
    """Every file of a skill's folder."""
    return folder_state(find_folder(name, home))


def folder_state(folder: Path) -> tuple[Stamp, ...]:
    """Every file under a folder."""
    return _stamps(path for path in sorted(folder.rglob("*")) if path.is_file())


def runs_state(runs: Path) -> tuple[Stamp, ...]:
    """The reports of all runs: a run that is not finished has none."""
    return _stamps(sorted(runs.glob(f"*/{REPORT}")))


def store_state(adapters: Path) -> tuple[Stamp, ...]:
    """Which adapters there are, and which are current."""
    return _stamps((adapters, adapters / CURRENT_FILE))


def _stamps(paths: Iterable[Path]) -> tuple[Stamp, ...]:
    found = []
    for path in paths:
        try:
            seen = path.stat()
        except FileNotFoundError:
            continue
        found.append((str(path), seen.st_mtime_ns, seen.st_size))
    return tuple(found)
