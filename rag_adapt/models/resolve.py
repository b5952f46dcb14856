"""Finds a model's weights: a local folder, the hub's cache, a package that carries them, the hub.

It does not load anything. `default` is one fixed set of weights, by hash: other weights found
under the same name are never taken in its place.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rag_adapt.core.errors import ModelNotFoundError
from rag_adapt.core.protocols import Progress, Silent
from rag_adapt.models.files import Kind, ModelFiles, Source, weight_files, weights_hash
from rag_adapt.models.hub import cache_root, cached_folder, fetch, is_repo
from rag_adapt.models.packages import (
    DEFAULTS,
    Carried,
    carried_file,
    carried_folder,
    package_folder,
)

DEFAULT: Final = "default"
Defaults = Mapping[Kind, Carried]
Download = Callable[[str, Path | None], Path]


@dataclass(frozen=True, kw_only=True)
class Place:
    """One place in the order of resolution."""

    source: Source
    where: str
    """What was looked at: a folder, a package, a hub id."""
    state: str
    """What is there, in words."""
    found: bool
    """Whether these weights would be taken, were no earlier place to have them."""


def resolve_model(
    name: str,
    *,
    home: Path,
    kind: Kind = "language",
    progress: Progress | None = None,
    hub_cache: Path | None = None,
    defaults: Defaults = DEFAULTS,
) -> ModelFiles:
    """The first place that has the model; never the network.

    Args:
        name: `default`, a local folder, or a hub id.
        home: Where converted weights and remembered hashes lie.
        kind: Which default is meant.
        progress: Told of a conversion and of hashing.
        hub_cache: The hub's cache; the library's own where None.
        defaults: What `default` means.

    Raises:
        ModelNotFoundError: naming every place looked in and the command that would get it.
    """
    shown = progress or Silent()
    if name == DEFAULT:
        return _default(defaults[kind], kind, home=home, progress=shown, hub_cache=hub_cache)
    if (folder := Path(name).expanduser()).is_dir():
        weights = weights_hash(folder, home=home, progress=shown)
        return ModelFiles(name=name, path=folder, weights=weights, source="folder")
    if (snapshot := cached_folder(name, hub_cache)) is not None:
        weights = weights_hash(snapshot, home=home, progress=shown)
        return ModelFiles(name=name, path=snapshot, weights=weights, source="cache")
    for carried in defaults.values():
        if name == carried.repo and not carried.convert:
            path = carried_folder(carried, home=home, progress=shown)
            if path is not None:
                return ModelFiles(name=name, path=path, weights=carried.weights, source="package")
    looked = places(name, home=home, kind=kind, hub_cache=hub_cache, defaults=defaults)
    raise _not_found(name, looked, kind)


def fetch_model(
    name: str,
    *,
    home: Path,
    kind: Kind = "language",
    progress: Progress | None = None,
    hub_cache: Path | None = None,
    defaults: Defaults = DEFAULTS,
    download: Download = fetch,
) -> ModelFiles:
    """The model from where it is, or else from the hub.

    Args:
        name: As for `resolve_model`, like the arguments up to `defaults`.
        home: Where converted weights and remembered hashes lie.
        kind: Which default is meant.
        progress: Told of a conversion and of hashing.
        hub_cache: The hub's cache; the library's own where None.
        defaults: What `default` means.
        download: Gets a repository into the cache.

    Raises:
        ModelNotFoundError: neither here nor on the hub, or the hub cannot be reached.
    """
    try:
        return resolve_model(
            name,
            home=home,
            kind=kind,
            progress=progress,
            hub_cache=hub_cache,
            defaults=defaults,
        )
    except ModelNotFoundError:
        carried = defaults[kind]
        if name == DEFAULT and (carried.convert or carried_file(carried) is not None):
            raise
    repo = carried.repo if name == DEFAULT else name
    folder = download(repo, hub_cache)
    weights = weights_hash(folder, home=home, progress=progress)
    if name == DEFAULT and weights != carried.weights:
        raise ModelNotFoundError(
            f"the hub's {repo!r} is not the default: weights {weights}, expected {carried.weights}",
            hint=f"Get the default from its package: {carried.install}",
        )
    return ModelFiles(name=name, path=folder, weights=weights, source="hub")


def places(
    name: str,
    *,
    home: Path,
    kind: Kind = "language",
    hub_cache: Path | None = None,
    defaults: Defaults = DEFAULTS,
) -> tuple[Place, ...]:
    """Every place in the order of resolution, with what is there; converts and fetches nothing."""
    if name == DEFAULT:
        return _default_places(defaults[kind], home=home, hub_cache=hub_cache)
    folder = Path(name).expanduser()
    carriers = {c for c in defaults.values() if name == c.repo and not c.convert}
    return (
        _folder_place(folder),
        _cache_place(name, hub_cache),
        *(_package_place(carried) for carried in carriers),
        *(() if carriers else (_no_package(),)),
        Place(
            source="hub",
            where=name,
            state="asked by `rag-adapt models fetch` only" if is_repo(name) else "not a hub id",
            found=False,
        ),
    )


def _default(
    carried: Carried, kind: Kind, *, home: Path, progress: Progress, hub_cache: Path | None
) -> ModelFiles:
    converted = home / "models" / carried.folder_name
    source: Source = "package"
    path = converted if carried.convert and weight_files(converted) else None
    if path is None and not carried.convert:
        path, source = cached_folder(carried.repo, hub_cache), "cache"
        if path is not None and weights_hash(path, home=home) != carried.weights:
            path = None
    if path is None:
        path, source = carried_folder(carried, home=home, progress=progress), "package"
    if path is None:
        shown = _default_places(carried, home=home, hub_cache=hub_cache)
        raise _not_found(DEFAULT, shown, kind, carried.install)
    weights = weights_hash(path, home=home, progress=progress)
    if weights != carried.weights:
        raise ModelNotFoundError(
            f"the default model at {str(path)!r} has other weights than the recorded ones: "
            f"{weights}, expected {carried.weights}",
            hint=f"Remove that folder; it is made again from its package ({carried.install}).",
        )
    return ModelFiles(name=DEFAULT, path=path, weights=weights, source=source)


def _default_places(carried: Carried, *, home: Path, hub_cache: Path | None) -> tuple[Place, ...]:
    converted = home / "models" / carried.folder_name
    there = bool(weight_files(converted))
    made = Place(
        source="package",
        where=str(converted),
        state="converted from the package" if there else "not converted yet",
        found=there,
    )
    return (
        *((made,) if carried.convert else ()),
        _default_cache_place(carried, home=home, hub_cache=hub_cache),
        _package_place(carried),
        Place(
            source="hub",
            where=carried.repo,
            state="has other weights than the default"
            if carried.convert
            else "asked by `rag-adapt models fetch` only",
            found=False,
        ),
    )


def _default_cache_place(carried: Carried, *, home: Path, hub_cache: Path | None) -> Place:
    place = _cache_place(carried.repo, hub_cache)
    snapshot = cached_folder(carried.repo, hub_cache)
    if snapshot is None:
        return place
    weights = weights_hash(snapshot, home=home)
    if weights == carried.weights:
        return place
    return Place(
        source="cache",
        where=place.where,
        state=f"other weights ({weights[:12]}): not the default; choose them as {carried.repo}",
        found=False,
    )


def _folder_place(folder: Path) -> Place:
    found = bool(weight_files(folder)) if folder.is_dir() else False
    absent = "no such folder" if not folder.is_dir() else "no config.json with *.safetensors"
    state = "a model" if found else absent
    return Place(source="folder", where=str(folder), state=state, found=found)


def _cache_place(name: str, hub_cache: Path | None) -> Place:
    snapshot = cached_folder(name, hub_cache)
    state = "not there, or incomplete" if snapshot is None else "a model"
    where = f"{name} in {cache_root(hub_cache)}" if snapshot is None else str(snapshot)
    return Place(source="cache", where=where, state=state, found=snapshot is not None)


def _package_place(carried: Carried) -> Place:
    folder, file = package_folder(carried), carried_file(carried)
    state = "carries the weights"
    if file is None:
        state = "not installed" if folder is None else f"has no {carried.file}"
    where = f"package {carried.package}" if file is None else str(file)
    return Place(source="package", where=where, state=state, found=file is not None)


def _no_package() -> Place:
    return Place(
        source="package", where="packages", state="none carries these weights", found=False
    )


def _not_found(
    name: str, looked: Sequence[Place], kind: Kind, install: str | None = None
) -> ModelNotFoundError:
    listed = "; ".join(f"{place.source}: {place.where} ({place.state})" for place in looked)
    flag = "" if kind == "language" else " --embedder"
    return ModelNotFoundError(
        f"no weights for {kind} model {name!r}; looked in {listed}",
        hint=f"Get it: {install or f'rag-adapt models fetch {name}{flag}'}",
    )
