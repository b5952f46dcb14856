"""A model's folder and the hash of its weights; hashes of big files are remembered.

It does not know where a folder came from.
"""

import hashlib
import json
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from rag_adapt.core.errors import ModelNotFoundError
from rag_adapt.core.protocols import Progress, Silent

Source = Literal["folder", "cache", "package", "hub"]
Kind = Literal["language", "embedder"]
HASHES: Final = "hashes.json"
CHUNK: Final = 1 << 22
"""Bytes read at a time while hashing."""


@dataclass(frozen=True, kw_only=True)
class ModelFiles:
    """A model on disk."""

    name: str
    """As the user gave it."""
    path: Path
    """Folder that `from_pretrained` takes."""
    weights: str
    """SHA-256 of the weight files, 64 hex digits."""
    source: Source


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The safetensors files of a model's folder, sorted; empty where it is no complete model.

    A sharded model is complete when every shard that its index names is there.
    """
    if not (folder / "config.json").is_file():
        return ()
    found = tuple(sorted(folder.glob("*.safetensors"))) or tuple(
        sorted(folder.glob("*/*.safetensors"))
    )
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        shards = set(json.loads(index.read_text())["weight_map"].values())
        if shards - {path.name for path in found}:
            return ()
        return tuple(path for path in found if path.name in shards)
    return found


def weights_hash(folder: Path, *, home: Path, progress: Progress | None = None) -> str:
    """SHA-256 over a model's weight files: of the file, or of `name hash` lines where many.

    Raises:
        ModelNotFoundError: the folder holds no complete safetensors model.
    """
    files = weight_files(folder)
    if not files:
        raise ModelNotFoundError(
            f"folder {str(folder)!r} holds no model: it needs config.json and *.safetensors",
            hint="Name a folder written by `save_pretrained`, or run `rag-adapt models show`.",
        )
    shown = progress or Silent()
    digests = []
    for number, file in enumerate(files):
        shown.update("hash weights", number, len(files), file.name)
        digests.append(file_hash(file, home=home))
    shown.update("hash weights", len(files), len(files))
    if len(files) == 1:
        return digests[0]
    lines = [f"{file.name} {digest}\n" for file, digest in zip(files, digests, strict=True)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def file_hash(file: Path, *, home: Path) -> str:
    """SHA-256 of a file; read again only if its size or time changed since the last time."""
    real = file.resolve()
    state = real.stat()
    key = f"{real}|{state.st_size}|{state.st_mtime_ns}"
    known = _read(home)
    if (remembered := known.get(key)) is not None:
        return remembered
    digest = sha256_of(real)
    _remember(home, key, digest)
    return digest


def sha256_of(file: Path) -> str:
    """SHA-256 of a file's bytes, 64 hex digits."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(CHUNK):
            digest.update(block)
    return digest.hexdigest()


def _read(home: Path) -> dict[str, str]:
    """Remembered hashes; a file that cannot be read is as good as none, for it is only a memory."""
    with suppress(OSError, ValueError):
        known = json.loads((home / "models" / HASHES).read_text())
        if isinstance(known, dict):
            return known
    return {}


def _remember(home: Path, key: str, digest: str) -> None:
    """Keep a hash; a home that cannot be written only costs hashing again."""
    path = key.split("|")[0]
    kept = {old: value for old, value in _read(home).items() if old.split("|")[0] != path}
    with suppress(OSError):
        folder = home / "models"
        folder.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=f".{HASHES}.")
        with os.fdopen(handle, "w") as stream:
            json.dump({**kept, key: digest}, stream, indent=1)
        Path(temporary).replace(folder / HASHES)
