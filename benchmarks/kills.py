"""Kills a process that writes a collection, at random points, and looks at what is left each time.

It does not judge speed: it prints what was done and everything that went wrong, and ends with 1 if
anything did.

    python -m benchmarks.kills --kills 200
"""

import argparse
import multiprocessing
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout

from rag_adapt.core.errors import CollectionError
from rag_adapt.core.protocols import Progress
from rag_adapt.retrieval.build import build_collection
from rag_adapt.retrieval.check import check_collection
from rag_adapt.retrieval.collection import Collection
from rag_adapt.retrieval.embed import CachedEmbedder, HashingEmbedder
from rag_adapt.retrieval.lock import LOCK_NAME
from rag_adapt.retrieval.record import Record

DOCUMENTS: Final = 70
"""Two batches of vectors: every build acknowledges some before its end."""
REOPENED: Final = 5.0
"""Seconds within which a collection is open again after a kill."""
FREE: Final = 0.1
"""Seconds after which a killed writer's lock is free."""
REMEMBERED: Final = "embeddings.db"
"""What the embedder remembers."""
PATIENCE: Final = 120.0
"""Seconds for anything that a child does, on a busy machine too."""


@dataclass(kw_only=True)
class Tally:
    """What was done and seen."""

    kills: int = 0
    builds: int = 0
    """Rounds that are in place."""
    torn: int = 0
    """Kills in the middle of a build."""
    slowest_opening: float = 0.0
    """Seconds."""
    slowest_lock: float = 0.0
    """Seconds from the end of a killed process to a lock of ours."""
    wrong: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class Heard:
    """What a child said before it died."""

    begun: int = 0
    """The round whose documents it was putting in place last."""
    built: int = 0
    """The last round that it said, or we saw, was in place."""
    embedded: int = 0
    """Vectors of the round begun that it said were kept."""


class _Told:
    """Progress through a pipe."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def update(self, stage: str, done: int, total: int, note: str = "") -> None:
        """See `rag_adapt.core.protocols.Progress`."""
        if stage == "embedding":
            self._pipe.send(("embedded", done))


def write_round(source: Path, number: int) -> None:
    """Every document of a round says which round it is of."""
    source.mkdir(parents=True, exist_ok=True)
    for each in range(DOCUMENTS):
        (source / f"{each:03}.md").write_text(f"# Part {each}\n\nFact {each} of round {number}.")


def work(place: Path, first: int, pipe: Connection) -> None:
    """Build one round after the other, saying so, until killed."""
    for number in range(first, first + 1_000):
        write_round(place / "source", number)
        pipe.send(("begun", number))
        _build(place, _Told(pipe))
        pipe.send(("built", number))


def _build(place: Path, progress: Progress | None = None) -> None:
    embedder = CachedEmbedder(HashingEmbedder(dimensions=32), path=place / REMEMBERED)
    build_collection(
        place / "killed",
        place / "source",
        embedder,
        remembered=place / REMEMBERED,
        progress=progress,
    )


def besiege(place: Path, kills: int, *, seed: int = 0) -> Tally:
    """Kill the writer so often, and check after each time.

    Args:
        place: An empty folder.
        kills: How many.
        seed: Of the moments.
    """
    draw, tally, heard = random.Random(seed), Tally(), Heard()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["rag_adapt.retrieval.build"])
    write_round(place / "source", 1)
    started = time.monotonic()
    _build(place)
    longest = 2.5 * (time.monotonic() - started)
    heard.built = heard.begun = 1
    for _ in range(kills):
        ours, theirs = context.Pipe(duplex=False)
        child = context.Process(target=work, args=(place, heard.begun + 1, theirs), daemon=True)
        child.start()
        theirs.close()
        _listen(ours, heard, until=draw.uniform(0.0, longest))
        child.kill()
        child.join(PATIENCE)
        _judge(place, tally, heard, ours)
    tally.wrong += _remembered(place)
    return tally


def _listen(pipe: Connection, heard: Heard, *, until: float) -> None:
    """Hear what a child says, from its first word on for so many seconds."""
    if pipe.poll(PATIENCE):
        end = time.monotonic() + until
        while (left := end - time.monotonic()) > 0 and pipe.poll(left):
            _hear(pipe.recv(), heard)


def _hear(said: tuple[str, int], heard: Heard) -> None:
    what, number = said
    setattr(heard, what, number)
    if what == "begun":
        heard.embedded = 0


def _judge(place: Path, tally: Tally, heard: Heard, pipe: Connection) -> None:
    """Look at everything after a kill."""
    if (waited := _locked(place / "killed" / LOCK_NAME)) is None:
        tally.wrong.append("the lock of a killed writer was never free")
    else:
        tally.slowest_lock = max(tally.slowest_lock, waited)
    while pipe.poll(0):
        try:
            _hear(pipe.recv(), heard)
        except (EOFError, OSError):
            break
    pipe.close()
    tally.kills += 1
    tally.torn += heard.begun > heard.built
    try:
        wrong = [f"{each.subject}: {each.problem}" for each in check_collection(place / "killed")]
        started = time.monotonic()
        wrong += _lost(place / "killed", heard)
        tally.slowest_opening = max(tally.slowest_opening, time.monotonic() - started)
    except CollectionError as exc:
        wrong = [exc.fact]
    tally.builds = heard.built
    tally.wrong += [f"kill {tally.kills}: {each}" for each in wrong]


def _remembered(place: Path) -> list[str]:
    """What embedders still remember after one more build, and no chunk has."""
    _build(place)
    with closing(Record.read(place / "killed")) as record:
        held = {chunk.text_hash for chunk in record.chunks()}
    with closing(sqlite3.connect(place / REMEMBERED)) as connection:
        known = {row[0] for row in connection.execute("SELECT text_hash FROM vectors")}
    return [] if known == held else [f"{len(known - held)} texts that are gone are remembered"]


def _locked(path: Path) -> float | None:
    """Seconds until the lock was ours; 0 where it was at once, None where it never was."""
    lock, started = FileLock(path), time.monotonic()
    for patience in (0.0, PATIENCE):
        with suppress(Timeout), lock.acquire(timeout=patience, poll_interval=0.005):
            return time.monotonic() - started if patience else 0.0
    return None


def _lost(folder: Path, heard: Heard) -> list[str]:
    """What was acknowledged and is not there."""
    with Collection.open(folder, HashingEmbedder(dimensions=32)) as collection:
        texts = [collection.text(path) for path in collection.documents()]
        found = collection.search("Fact 7", 1, "fused")
    wrong = [] if found else ["nothing is found any more"]
    rounds = {int(text.rstrip(".").rsplit(" ", 1)[1]) for text in texts}
    if len(texts) != DOCUMENTS or len(rounds) != 1 or not rounds <= {heard.built, heard.begun}:
        wrong.append(
            f"{len(texts)} documents of rounds {sorted(rounds)}, {heard.built} was acknowledged "
            f"and {heard.begun} begun"
        )
    record = Record.read(folder)
    try:
        kept = record.count("embeddings")
    finally:
        record.close()
    underway = heard.begun > heard.built
    if rounds == {heard.built} and kept < DOCUMENTS + heard.embedded * underway:
        wrong.append(f"{kept} vectors are kept, {heard.embedded} more were acknowledged")
    heard.built = max(rounds, default=0)  # seen in place, whether or not that was still said
    return wrong


def main(arguments: Sequence[str]) -> int:
    """Print what was seen; 1 if anything went wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options: Any = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        tally = besiege(Path(name), options.kills, seed=options.seed)
    if tally.slowest_opening > REOPENED:
        tally.wrong.append(f"it took {tally.slowest_opening:.1f} s to open")
    if tally.slowest_lock > FREE:
        tally.wrong.append(f"a lock was free after {tally.slowest_lock * 1000:.0f} ms only")
    print(
        f"{tally.kills} kills, {tally.torn} of them in the middle of a build, "
        f"{tally.builds} rounds put in place; opened again in {tally.slowest_opening:.2f} s at "
        f"most, the lock free after {tally.slowest_lock * 1000:.1f} ms at most"
    )
    for each in tally.wrong:
        print(f"VIOLATION {each}")
    return 1 if tally.wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
