"""Checks of what is kept: folders, databases, Chroma, collections, adapters, skills, runs.

It changes nothing there: Chroma is tried in a temporary folder, locks are only looked at.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from rag_adapt.adapters.store import AdapterStore
from rag_adapt.bench.store import RunFolder, list_runs
from rag_adapt.core.errors import AdapterError, RagAdaptError, RunNotFoundError, SkillError
from rag_adapt.doctor.body import existing, places
from rag_adapt.doctor.finding import Observation, Patient, fault, fault_of, ok, warning
from rag_adapt.doctor.holders import holder, is_held
from rag_adapt.doctor.weights import current_weights
from rag_adapt.retrieval.catalog import CollectionInfo, list_collections
from rag_adapt.retrieval.lock import LOCK_NAME
from rag_adapt.skills.load import list_skills, load_skill

CACHES: Final = ("cache/answers.db", "cache/embeddings.db")
STATE: Final = "state.db"
QUICKLY_CHECKED: Final = 100_000_000
"""Bytes of a database that is checked page by page; larger ones are only opened."""
QUICKLY_HASHED: Final = 500_000_000
"""Bytes of adapters that are hashed again; beyond it their cards alone are read."""
SHOWN: Final = 5
"""Findings of one kind that are spelled out; the rest is counted."""


def folders(patient: Patient) -> Iterator[Observation]:
    """Whether home and collections can be written."""
    for what, folder in places(patient):
        there = existing(folder)
        try:
            with tempfile.TemporaryFile(dir=there) as file:
                file.write(b"?")
                file.flush()
        except OSError as exc:
            yield fault(
                f"cannot write {what} {str(folder)!r}: {exc.strerror or exc}",
                remedy=f"`export RAG_ADAPT_{what.upper()}=/a/folder/of/yours`, or "
                f"`chmod u+rwX {there}`",
            )
        else:
            yield ok(f"{what} {str(folder)!r} can be written")


def databases(patient: Patient) -> Iterator[Observation]:
    """Whether the caches and the state file are whole."""
    home = patient.settings.home
    found = [home / name for name in (*CACHES, STATE) if (home / name).is_file()]
    for path in found:
        remedy = f"rm -f {path} {path}-wal {path}-shm  (a cache: it only costs computing again)"
        if path.name == STATE:
            remedy = f"mv {path} {path}.damaged  (API keys, jobs and traces start empty)"
        wrong = _damage(path)
        if wrong is not None:
            yield fault(f"{str(path)!r}: {wrong}", remedy=remedy)
        else:
            yield ok(f"{str(path)!r}, {path.stat().st_size / 1e6:.1f} MB")
    if not found:
        yield ok("nothing kept yet")


def _damage(path: Path) -> str | None:
    import sqlite3

    from rag_adapt.retrieval.sqlite import open_reader

    try:
        with closing(open_reader(path)) as connection:
            if path.stat().st_size > QUICKLY_CHECKED:
                return None
            said = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except (RagAdaptError, sqlite3.DatabaseError) as exc:
        return str(exc).splitlines()[0]
    return None if said == "ok" else str(said).replace("\n", " ")


def chroma(patient: Patient) -> Iterator[Observation]:
    """Whether Chroma can be imported, written, and finds again what was written."""
    from rag_adapt.retrieval.build import build_collection
    from rag_adapt.retrieval.collection import Collection
    from rag_adapt.retrieval.embed import HashingEmbedder

    with tempfile.TemporaryDirectory(prefix="rag-adapt-doctor-") as place:
        source, folder = Path(place) / "documents", Path(place) / "doctor"
        source.mkdir()
        for name in ("apples", "boats", "clouds"):
            (source / f"{name}.md").write_text(f"# {name}\n\nAll about {name}.\n")
        build_collection(folder, source, HashingEmbedder())
        with Collection.open(folder, HashingEmbedder(), backend="chroma") as collection:
            found = collection.search("boats", 1, "dense")
    version = patient.machine.installed.get("chromadb", "of unknown version")
    if [passage.document for passage in found] != ["boats.md"]:
        yield fault(
            f"chromadb {version} does not find what was just written",
            remedy="pip install -c constraints.txt --force-reinstall chromadb; until then search "
            "with `--backend exact`",
        )
        return
    yield ok(f"chromadb {version}: written and read in a temporary folder")


def collections(patient: Patient) -> Iterator[Observation]:
    """Whether collections are readable and finished, and who holds them."""
    known = list_collections(patient.settings.indexes)
    for info in known:
        lock = patient.settings.indexes / info.name / LOCK_NAME
        if is_held(lock):
            yield warning(
                f"collection {info.name!r} is held by {holder(lock)}, which builds it or has "
                "Chroma open on it",
                remedy=f"Wait until it ends. `rag-adapt index search {info.name} QUESTION "
                "--backend exact` needs no lock.",
            )
        else:
            yield from _state(info)
    if not known:
        yield ok("no collections yet")


def _state(info: CollectionInfo) -> Iterator[Observation]:
    build = f"rag-adapt index build {info.name} DIR"
    if info.state == "ready":
        yield ok(f"collection {info.name!r}: {info.documents} documents, {info.chunks} chunks")
    elif info.state == "unfinished":
        yield warning(
            f"collection {info.name!r} was never finished",
            remedy=f"{build}  (it goes on where it stopped)",
        )
    else:
        yield fault(
            f"collection {info.name!r} cannot be read",
            remedy=f"See `rag-adapt index check {info.name}`, then make it again: {build}",
        )


def adapters(patient: Patient) -> Iterator[Observation]:
    """Whether every adapter is whole and fits the language model."""
    store = AdapterStore(patient.settings.home)
    broken, cards = store.broken(), store.list()
    for version in broken:
        yield fault(
            f"adapter {version!r} has no readable card",
            remedy=f"rag-adapt adapters remove {version}",
        )
    base = current_weights(patient.settings)
    budget, foreign, whole = QUICKLY_HASHED, [], 0
    for card in cards:
        budget -= sum(file.stat().st_size for file in (store.folder / card.version).glob("*"))
        if (wrong := _wrong(store, card.version, deep=budget > 0)) is not None:
            yield wrong
        elif base is not None and card.weights_hash != base:
            foreign.append(card.version)
        else:
            whole += 1
    if foreign:
        yield _foreign(foreign)
    yield ok(f"{whole} of {len(cards) + len(broken)} adapter(s) usable with this model")


def _wrong(store: AdapterStore, version: str, *, deep: bool) -> Observation | None:
    name = version.partition("@")[0]
    try:
        if deep:
            store.get(version)
        store.probe(version)
        if store.current(name) is not None:
            store.find(name)
    except AdapterError as error:
        return fault_of(error)
    return None


def _foreign(versions: Sequence[str]) -> Observation:
    first = versions[0]
    return warning(
        f"{len(versions)} adapter(s) were trained on another language model: "
        f"{', '.join(versions[:SHOWN])}",
        remedy=f"Use them with their own model (`rag-adapt adapters show {first}` names it), or "
        f"`rag-adapt adapters remove {first}`.",
    )


def skills(patient: Patient) -> Iterator[Observation]:
    """Whether imported skills can be read."""
    imported = [each for each in list_skills(patient.settings.home) if each.origin == "imported"]
    whole = 0
    for place in imported:
        try:
            load_skill(place.folder)
        except SkillError as error:
            yield fault(error.fact.splitlines()[0], remedy=f"rag-adapt skills check {place.folder}")
        else:
            whole += 1
    yield ok(f"{whole} of {len(imported)} imported skill(s) readable")


def runs(patient: Patient) -> Iterator[Observation]:
    """Whether runs were left unfinished."""
    known = list_runs(patient.settings.home / "runs")
    observed = [said for run in known if (said := _unfinished(run)) is not None]
    yield from observed[:SHOWN]
    if len(observed) > SHOWN:
        yield warning(
            f"{len(observed) - SHOWN} more runs are not finished", remedy="rag-adapt runs list"
        )
    yield ok(f"{len(known) - len(observed)} of {len(known)} run(s) complete")


def _unfinished(run: RunFolder) -> Observation | None:
    try:
        header = run.header
    except RunNotFoundError as error:
        return warning(error.fact, remedy=f"rm -r {run.path}")
    if header.state == "complete":
        return None
    if is_held(run.path / "lock"):
        return ok(f"run {header.id!r} is being made now")
    return warning(
        f"run {header.id!r} of {header.created} is not finished",
        remedy=f"Go on with it: `{header.command}`; or forget it: `rm -r {run.path}`",
    )
