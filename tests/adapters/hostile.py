"""Archives and files that nobody sends by mistake, and a few that somebody might."""

import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rag_adapt.adapters.check import CONFIG_FILE, WEIGHTS_FILE
from rag_adapt.adapters.upload import Shape
from tests.adapters.samples import MODULE, config, write_adapter

SHAPES = {MODULE: Shape(rows=4, columns=4)}
A, B = (f"base_model.model.{MODULE}.lora_{side}.weight" for side in "AB")


def parts(folder: Path, **settings: Any) -> dict[str, bytes]:
    """The two files of a small plain adapter."""
    made = write_adapter(folder / "plain", **settings)
    return {name: (made / name).read_bytes() for name in (CONFIG_FILE, WEIGHTS_FILE)}


def zipped(members: Mapping[str, bytes], **more: Any) -> bytes:
    """A zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", more.pop("compression", zipfile.ZIP_DEFLATED)) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def tarred(members: Mapping[str, bytes], *extra: tarfile.TarInfo, mode: str = "w") -> bytes:
    """A tar archive; with mode `w:gz` a gzipped one."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]  # typed by literal modes
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for info in extra:
            archive.addfile(info)
    return buffer.getvalue()


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    """A link, device or pipe of a tar archive."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def zip_link(name: str, target: str, members: Mapping[str, bytes]) -> bytes:
    """A zip archive with a symbolic link in it."""
    buffer = io.BytesIO(zipped(members))
    with zipfile.ZipFile(buffer, "a") as archive:
        info = zipfile.ZipInfo(name)
        info.create_system, info.external_attr = 3, 0o120777 << 16
        archive.writestr(info, target)
    return buffer.getvalue()


def zip_bomb(members: Mapping[str, bytes], megabytes: int = 100) -> bytes:
    """A zip archive whose weights expand a thousand times."""
    return zipped({**members, WEIGHTS_FILE: bytes(megabytes << 20)})


def lying_zip(members: Mapping[str, bytes]) -> bytes:
    """A zip archive whose directory understates what its weights expand to."""
    big = bytes(64 << 20)
    raw = bytearray(zipped({**members, WEIGHTS_FILE: big}))
    size = len(big).to_bytes(4, "little")
    while (place := raw.find(size)) >= 0:
        raw[place : place + 4] = (100).to_bytes(4, "little")
    return bytes(raw)


def gzip_bomb(megabytes: int = 100) -> bytes:
    """A gzipped tar archive of zeros."""
    info = tarfile.TarInfo(WEIGHTS_FILE)
    info.size = megabytes << 20
    return gzip.compress(info.tobuf() + bytes(info.size + 1024), compresslevel=9)


def pax_bomb(megabytes: int = 100) -> bytes:
    """A gzipped tar archive whose extended header alone is huge."""
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, megabytes << 20
    return gzip.compress(info.tobuf() + bytes(info.size + 1024), compresslevel=9)


def many_members(count: int, kind: str) -> bytes:
    """An archive of so many empty files."""
    names = {f"{number}.txt": b"" for number in range(count)}
    return zipped(names, compression=zipfile.ZIP_STORED) if kind == "zip" else tarred(names)


def weights(header: Any, data: bytes = b"") -> bytes:
    """A safetensors file with any header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def header(**more: Any) -> dict[str, Any]:
    """The header of the plain adapter's weights; `A` and `B` change a tensor."""
    tensors = {
        A: {"dtype": "F32", "shape": [2, 4], "data_offsets": [0, 32], **more.pop("A", {})},
        B: {"dtype": "F32", "shape": [4, 2], "data_offsets": [32, 64], **more.pop("B", {})},
    }
    return {**tensors, **more}


def configured(**more: Any) -> bytes:
    """A configuration file."""
    return json.dumps(config(**more)).encode()
