"""Chroma behind a server of its own, for collections that several processes search at once.

The server is Chroma's Rust one, on loopback alone; a keeper starts it, starts it again when it
dies, and ends it with its last user. It does not know documents, and holds no lock that a build
needs: what a build replaces is another folder, and goes when nobody uses it any more.
"""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from rag_adapt.core.errors import EngineError, LockedError
from rag_adapt.retrieval import chroma_keeper
from rag_adapt.retrieval.chroma import (
    CHROMA_FOLDER,
    CHUNKS,
    damage,
    fill,
    neighbours,
    server_environment,
)
from rag_adapt.retrieval.protocols import Neighbour
from rag_adapt.retrieval.record import Meta, Record

if TYPE_CHECKING:
    import httpx

    from rag_adapt.retrieval.protocols import Vectors

SERVER_FOLDER: Final = "chroma-server"
START: Final = "start"
"""In that folder: locked by whoever fills a cache or starts its server."""
START_SECONDS: Final = 120.0
"""For which one waits until another process has filled and started it."""
PATIENCE: Final = 20.0
"""Seconds within which a server that died must be back."""
TIMEOUT: Final = 10.0
"""Seconds for one answer."""
END_SECONDS: Final = 15.0
"""Within which a server without users has ended."""
_POLL: Final = 0.05
_BASE: Final = "/api/v2/tenants/default_tenant/databases/default_database/collections"


class IndexGoneError(EngineError):
    """The server that holds an index is gone and does not come back."""

    code = "index-gone"
    status = 503


class ChromaServerIndex:
    """Approximate search by a server that other processes use, too."""

    def __init__(
        self, *, record: Record, meta: Meta, place: Path, users: IO[str], patience: float
    ) -> None:
        self._record, self._meta, self._place = record, meta, place
        self._users = users
        self._patience = patience
        self._client: httpx.Client | None = None
        self._chunks = ""
        self._count = record.count("chunks")

    @classmethod
    def open(cls, record: Record, meta: Meta, *, patience: float = PATIENCE) -> "ChromaServerIndex":
        """Use the server of this collection's content, filling and starting it where need be.

        Args:
            record: The open record; it must stay open as long as the index.
            meta: Of the record.
            patience: Seconds for which a query waits for a server that died.

        Raises:
            LockedError: another process has been filling it for long.
            IndexGoneError: it cannot be started.
            MissingPackageError: chromadb is not installed.
        """
        place = record.path.parent / SERVER_FOLDER / meta.content_hash
        place.parent.mkdir(parents=True, exist_ok=True)
        with _starting(place.parent):  # else it may be deleted as one that nobody uses
            place.mkdir(exist_ok=True)
            users = _joined(place)
        index = cls(record=record, meta=meta, place=place, users=users, patience=patience)
        try:
            index._meet()
        except BaseException:
            index.close()
            raise
        return index

    def nearest(self, vector: "Vectors", k: int) -> tuple[Neighbour, ...]:
        """See `VectorIndex.nearest`; scores are cosines as Chroma rounds them.

        Raises:
            IndexGoneError: the server died and was not back in time.
        """
        import httpx

        asked = {
            "query_embeddings": [vector.tolist()],
            "n_results": min(k, self._count),
            "include": ["distances"],
        }
        until = time.monotonic() + self._patience
        while True:
            try:
                found = self._ask(asked)
            except httpx.HTTPError as exc:
                if time.monotonic() >= until:
                    raise self._gone(f"does not answer: {exc}") from exc
                self._hang_up()
                time.sleep(_POLL)
                self._meet()
            else:
                return neighbours(found["ids"][0], found["distances"][0])

    def close(self) -> None:
        """Use it no longer; it ends with its last user."""
        self._hang_up()
        self._users.close()

    def _ask(self, asked: dict[str, Any]) -> Any:
        """One question to the server.

        Raises:
            httpx.HTTPError: it did not answer, or not well.
        """
        import httpx

        if self._client is None:
            port = _port(self._place)
            if port is None:
                raise httpx.ConnectError("it is being started")
            self._client = httpx.Client(
                base_url=f"http://{chroma_keeper.HOST}:{port}", timeout=TIMEOUT, trust_env=False
            )
            told = self._client.get(f"{_BASE}/{CHUNKS}").raise_for_status()
            self._chunks = told.json()["id"]
        answer = self._client.post(f"{_BASE}/{self._chunks}/query", json=asked)
        return answer.raise_for_status().json()

    def _meet(self) -> None:
        """See to it that a keeper is there, and wait until its server is."""
        folder = self._place.parent
        with _starting(folder):
            if not is_kept(self._place):
                _drop_unused(folder, but=self._place)
                data = self._place / chroma_keeper.DATA
                if any(True for _ in damage(data, self._record, self._meta, quick=True)):
                    fill(data, self._record, self._meta)
                _start_keeper(self._place)
            until = time.monotonic() + START_SECONDS
            while _port(self._place) is None:
                if not is_kept(self._place) or time.monotonic() > until:
                    raise self._gone("cannot be started")
                time.sleep(_POLL)

    def _hang_up(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _gone(self, how: str) -> IndexGoneError:
        name = self._record.path.parent.name
        return IndexGoneError(
            f"Chroma's server of collection {name!r} {how}",
            hint="Ask again: whoever asks starts it anew. If it stays away, look into "
            f"`{self._place / chroma_keeper.LOG}`, fill it anew with `rag-adapt index rebuild "
            f"{name}`, or search with `--backend exact`, which needs no server.",
        )


def is_kept(place: Path) -> bool:
    """Whether a keeper lives for this cache."""
    return not _is_free(place / chroma_keeper.KEEPER)


def server_caches(folder: Path) -> list[Path]:
    """The caches of a collection that servers are, or were, run over."""
    return sorted(path for path in (folder / SERVER_FOLDER).glob("*") if path.is_dir())


def drop_caches(folder: Path) -> None:
    """Delete a collection's caches, but those that a server's users search.

    The caller holds the collection's lock, so nobody else has Chroma open.
    """
    shutil.rmtree(folder / CHROMA_FOLDER, ignore_errors=True)
    if (folder / SERVER_FOLDER).is_dir():
        with suppress(LockedError), _starting(folder / SERVER_FOLDER, seconds=0.0):
            _drop_unused(folder / SERVER_FOLDER)


def wait_for_servers(folder: Path, seconds: float = END_SECONDS) -> None:
    """Return once no server of a collection runs: they end with their users.

    Raises:
        LockedError: one still does.
    """
    until = time.monotonic() + seconds
    while any(is_kept(place) for place in server_caches(folder)):
        if time.monotonic() > until:
            raise LockedError(
                f"collection {folder.name!r} is searched through Chroma's server",
                hint="Wait until whoever searches it has ended, then ask again.",
            )
        time.sleep(_POLL)


def _drop_unused(servers: Path, but: Path | None = None) -> None:
    """Delete the caches that nobody uses; the caller keeps others from starting one."""
    for place in server_caches(servers.parent):
        if place != but and _is_free(place / chroma_keeper.USERS) and not is_kept(place):
            shutil.rmtree(place, ignore_errors=True)


def _joined(place: Path) -> IO[str]:
    """The users' file, locked for one user more.

    Raises:
        LockedError: a keeper that is about to end does not.
    """
    import fcntl

    users = (place / chroma_keeper.USERS).open("a")
    until = time.monotonic() + END_SECONDS
    while True:
        try:
            fcntl.flock(users, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as exc:
            if time.monotonic() > until:
                users.close()
                raise LockedError(
                    f"Chroma's server in {str(place)!r} is ending, and does not end",
                    hint="Ask again, or search with `--backend exact`, which needs no server.",
                ) from exc
            time.sleep(_POLL)
        else:
            return users


def _is_free(path: Path) -> bool:
    """Whether nobody holds a lock on the file."""
    import fcntl

    try:
        with path.open("r") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


@contextmanager
def _starting(servers: Path, seconds: float = START_SECONDS) -> Iterator[None]:
    """Be the only one who fills, starts or deletes one."""
    from filelock import FileLock, Timeout

    lock = FileLock(servers / START, thread_local=False)
    try:
        lock.acquire(timeout=seconds, poll_interval=_POLL)
    except Timeout as exc:
        raise LockedError(
            f"another process is filling Chroma for collection {servers.parent.name!r}",
            hint="Wait for it, or search with `--backend exact`, which needs no Chroma.",
        ) from exc
    try:
        yield
    finally:
        lock.release()


def _port(place: Path) -> int | None:
    """Where the server listens; None while it does not."""
    try:
        told = json.loads((place / chroma_keeper.ADDRESS).read_text(encoding="utf-8"))
        return int(told["port"])
    except (OSError, ValueError, KeyError):
        return None


def _start_keeper(place: Path) -> None:
    """Start one, and wait until it holds its lock: until then nobody keeps the server."""
    (place / chroma_keeper.ADDRESS).unlink(missing_ok=True)
    child = subprocess.Popen(
        [sys.executable, "-P", str(Path(chroma_keeper.__file__)), str(place.absolute())],
        env=server_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    _KEEPERS[:] = [each for each in _KEEPERS if each.poll() is None]
    _KEEPERS.append(child)
    until = time.monotonic() + START_SECONDS
    while not is_kept(place) and child.poll() is None and time.monotonic() < until:
        time.sleep(_POLL)


_KEEPERS: Final[list["subprocess.Popen[bytes]"]] = []
"""Started here and not seen to end: so that they are no zombies, and nobody warns of them."""
