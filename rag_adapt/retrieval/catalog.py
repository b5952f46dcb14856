"""Which collections there are, and what they may be called.

It does not know how they are built or searched.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from rag_adapt.core.errors import CollectionError, RagAdaptError
from rag_adapt.retrieval.record import RECORD_NAME, Record

LONGEST: Final = 48
"""Characters of a name."""
NAME: Final = re.compile(rf"[a-z0-9-]{{3,{LONGEST}}}")
SKILLS: Final = "skill-"
"""Begins the names of the collections that skills make of their own documents."""
State = Literal["ready", "unfinished", "damaged"]


@dataclass(frozen=True, kw_only=True)
class CollectionInfo:
    """What there is to know of a collection without searching it; zeros unless it is ready."""

    name: str
    state: State
    """`unfinished` while its first build runs or after it was interrupted."""
    content_hash: str = ""
    """Identity of documents, chunker and weights, for run records."""
    documents: int = 0
    """Indexed ones."""
    failed: int = 0
    """Files that were left out."""
    chunks: int = 0
    embedder: str = ""
    weights: str = ""
    dimensions: int = 0
    generation: int = 0
    """Builds that replaced the content."""
    bytes: int = 0
    """Size of the record on disk."""


def skill_collection(skill: str) -> str:
    """Name of the collection of a skill's own documents.

    >>> skill_collection("support")
    'skill-support'
    """
    return f"{SKILLS}{skill}"[:LONGEST]


def collection_folder(indexes: Path, name: str) -> Path:
    """Where the collection of that name lives.

    Raises:
        CollectionError: the name is not 3 to 48 of a-z, 0-9 and `-`.
    """
    if NAME.fullmatch(name) is None:
        raise CollectionError(
            f"{name!r} cannot name a collection",
            hint="Use 3 to 48 small letters, digits and hyphens, for example `rag-adapt index "
            "build my-manual DIR`.",
        )
    return indexes / name


def list_collections(indexes: Path) -> tuple[CollectionInfo, ...]:
    """Every folder that holds a record, in order of name; damaged ones are listed as such."""
    folders = sorted(path.parent for path in indexes.glob(f"*/{RECORD_NAME}"))
    return tuple(_listed(folder) for folder in folders)


def describe(record: Record) -> CollectionInfo:
    """Counts and identities of an open record.

    Raises:
        CollectionError: the record is damaged.
    """
    name = record.path.parent.name
    meta = record.meta()
    if meta is None:
        return CollectionInfo(name=name, state="unfinished", bytes=record.size())
    documents = len(record.paths())
    return CollectionInfo(
        name=name,
        state="ready",
        content_hash=meta.content_hash,
        documents=documents,
        failed=record.count("documents") - documents,
        chunks=record.count("chunks"),
        embedder=meta.embedder,
        weights=meta.weights,
        dimensions=meta.dimensions,
        generation=meta.generation,
        bytes=record.size(),
    )


def _listed(folder: Path) -> CollectionInfo:
    try:
        record = Record.read(folder)
        try:
            return describe(record)
        finally:
            record.close()
    except RagAdaptError:
        return CollectionInfo(name=folder.name, state="damaged")
