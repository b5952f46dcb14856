"""Reads the few files that an adapter's archive may hold, and refuses every other archive.

It does not know adapters. Nothing is unpacked by name: a member is a stream, and what is read of
all of them together is counted, whatever their headers say.
"""

import gzip
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from stat import S_IFMT, S_IFREG
from typing import IO, Final, cast

from rag_adapt.core.errors import AdapterError

MEMBERS: Final = 16
"""Files and folders that an archive may hold."""
CHUNK: Final = 1 << 18
"""Bytes that are read at a time; also the longest directory of a zip archive."""
OVERHEAD: Final = 1 << 20
"""Bytes of a tar archive beside its files."""
PACK: Final = (
    "Pack the two files alone: `tar czf adapter.tar.gz adapter_config.json "
    "adapter_model.safetensors`."
)
_FOLDER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9@._-]*")
_FAULTS: Final = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    struct.error,
    EOFError,
    ValueError,
    RuntimeError,
    OverflowError,
)
"""What the readers of archives raise where one is damaged, encrypted or of a newer kind."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """One file of an archive; to be read before the next one is asked for."""

    name: str
    """Without its folder."""
    stream: IO[bytes]


class Counted:
    """A file that hands out so many bytes altogether, and so many at once.

    Args:
        file: What is read.
        most: Bytes altogether.
    """

    def __init__(self, file: IO[bytes], *, most: int) -> None:
        self._file, self._left, self._most = file, most, most

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes.

        Raises:
            AdapterError: more than allowed.
        """
        data = self._file.read(min(size, self._left + 1) if size >= 0 else self._left + 1)
        self._left -= len(data)
        if self._left < 0:
            raise too_large(self._most)
        return data


class Sipped:
    """A seekable file that is never read in one large piece: a zip's directory is read in one."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        """Exactly as the file, for small sizes.

        Raises:
            AdapterError: a large piece was asked for.
        """
        if size > CHUNK:
            raise _many()
        data = self._file.read(size if size >= 0 else CHUNK + 1)
        if len(data) > CHUNK:
            raise _many()
        return data

    def seekable(self) -> bool:
        """It is."""
        return True


@contextmanager
def opened(file: Path, *, known: Collection[str], most: int) -> Iterator[Iterator[Member]]:
    """The members of a zip, tar or gzipped tar archive, one after the other.

    Args:
        file: Told by how it begins; its name does not count.
        known: Names of files that it may hold, all in one folder or in none.
        most: Bytes that its members may have together.

    Raises:
        AdapterError: it is no such archive, is damaged, or holds anything else: another name, a
            path that leads elsewhere, a link, a device, too many members or too many bytes.
    """
    with ExitStack() as stack:
        try:
            yield _checked(_members(file, most, stack), known)
        except _FAULTS as error:
            raise AdapterError(f"the archive cannot be read: {error}", hint=PACK) from error


def too_large(most: int) -> AdapterError:
    """What expands to more than it may."""
    return AdapterError(
        f"what the upload holds is larger than {most} bytes",
        hint="An adapter for this base model cannot be as large: check what was uploaded.",
    )


def _members(file: Path, most: int, stack: ExitStack) -> Iterator[Member]:
    raw = stack.enter_context(file.open("rb"))
    head = raw.read(512)
    raw.seek(0)
    if head.startswith(b"PK"):
        return _zipped(raw, stack)
    if head.startswith(b"\x1f\x8b"):
        plain = stack.enter_context(gzip.GzipFile(fileobj=raw))
        return _tarred(cast(IO[bytes], plain), most, stack)
    if head[257:262] == b"ustar":
        return _tarred(raw, most, stack)
    raise AdapterError("the upload is neither a zip nor a tar archive", hint=PACK)


def _zipped(raw: IO[bytes], stack: ExitStack) -> Iterator[Member]:
    archive = stack.enter_context(zipfile.ZipFile(cast(IO[bytes], Sipped(raw))))
    for number, info in enumerate(archive.infolist()):
        _count(number)
        kind = S_IFMT(info.external_attr >> 16)
        if info.is_dir():
            continue
        if kind not in (0, S_IFREG):
            raise _no_file(info.filename)
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise AdapterError(
                f"{_shown(info.filename)} is compressed in a way that is not read", hint=PACK
            )
        with archive.open(info) as stream:
            yield Member(name=info.filename, stream=stream)


def _tarred(raw: IO[bytes], most: int, stack: ExitStack) -> Iterator[Member]:
    counted = cast(IO[bytes], Counted(raw, most=most + OVERHEAD))
    archive = tarfile.open(fileobj=counted, mode="r|", bufsize=CHUNK)  # noqa: SIM115  # closed below
    stack.enter_context(archive)
    for number, info in enumerate(archive):
        _count(number)
        if info.isdir():
            continue
        stream = archive.extractfile(info) if info.isreg() and not info.issparse() else None
        if stream is None:
            raise _no_file(info.name)
        yield Member(name=info.name, stream=stream)


def _checked(members: Iterator[Member], known: Collection[str]) -> Iterator[Member]:
    """The members under their plain names, each once."""
    seen: set[str] = set()
    for member in members:
        name = _plain(member.name, known)
        if name in seen:
            raise AdapterError(f"the archive holds {_shown(name)} twice", hint=PACK)
        seen.add(name)
        yield Member(name=name, stream=member.stream)


def _plain(name: str, known: Collection[str]) -> str:
    *folders, last = name.removeprefix("./").split("/")
    if last not in known or len(folders) > 1 or not all(map(_FOLDER.fullmatch, folders)):
        raise AdapterError(f"the archive holds {_shown(name)}, which is no part of it", hint=PACK)
    return last


def _count(number: int) -> None:
    if number >= MEMBERS:
        raise _many()


def _many() -> AdapterError:
    return AdapterError(f"the archive holds more than {MEMBERS} members", hint=PACK)


def _no_file(name: str) -> AdapterError:
    return AdapterError(f"{_shown(name)} in the archive is a link or a device", hint=PACK)


def _shown(name: str) -> str:
    return repr(name[:80])
