"""Says of the models in use where they are, how large they are and what their hash is.

It does not convert or fetch anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rag_adapt.models.files import Kind, weight_files, weights_hash
from rag_adapt.models.packages import DEFAULTS, carried_file
from rag_adapt.models.resolve import DEFAULT, Place, places


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A model that commands would use."""

    kind: Kind
    name: str
    """As it is configured."""
    source: str
    """`folder`, `cache`, `package`, or `missing`."""
    weights: str
    """SHA-256 of the weights; for a default that is not converted yet, the recorded one."""
    bytes: int
    """Size of the weight files."""
    where: str


def inventory(
    wanted: Mapping[Kind, str], *, home: Path, hub_cache: Path | None = None
) -> tuple[Entry, ...]:
    """One entry per wanted model.

    Args:
        wanted: Names by kind.
        home: Where converted weights and remembered hashes lie.
        hub_cache: The hub's cache; the library's own where None.
    """
    return tuple(
        _entry(kind, name, places(name, home=home, kind=kind, hub_cache=hub_cache), home)
        for kind, name in wanted.items()
    )


def _entry(kind: Kind, name: str, looked: tuple[Place, ...], home: Path) -> Entry:
    place = next((place for place in looked if place.found), None)
    if place is None:
        return Entry(
            kind=kind,
            name=name,
            source="missing",
            weights="",
            bytes=0,
            where=f"see `rag-adapt models show {name}`",
        )
    folder = Path(place.where)
    if folder.is_dir():
        weights, files = weights_hash(folder, home=home), weight_files(folder)
    else:
        carried = next(c for c in DEFAULTS.values() if carried_file(c) == folder)
        weights, files = carried.weights, (folder,)
    return Entry(
        kind=kind,
        name=f"{name} ({DEFAULTS[kind].label})" if name == DEFAULT else name,
        source=place.source,
        weights=weights,
        bytes=sum(file.stat().st_size for file in files),
        where=place.where,
    )
