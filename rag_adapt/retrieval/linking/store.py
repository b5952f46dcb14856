"""Units, levels and links in a collection's record: read, made anew, checked.

It does not know how links are found; `registry` does.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rag_adapt.retrieval.linking.given import faults
from rag_adapt.retrieval.linking.levels import levels_of
from rag_adapt.retrieval.linking.notation import Remark
from rag_adapt.retrieval.linking.registry import FINDERS, link_kinds
from rag_adapt.retrieval.linking.units import Link, LinkKind, Relation, Unit, Units
from rag_adapt.retrieval.record import Meta, Record
from rag_adapt.retrieval.sqlite import translated

KINDS_KEY: Final = "links"
"""Of the record's `meta`: the kinds of links that it holds, as the command line writes them."""


@dataclass(frozen=True, kw_only=True)
class LinkCount:
    """Links of one kind and relation."""

    kind: str
    relation: str
    links: int


@dataclass(frozen=True, kw_only=True)
class Linked:
    """What a collection holds beside its chunks."""

    kinds: tuple[LinkKind, ...]
    links: tuple[LinkCount, ...]
    levels: Mapping[int, int]
    """Units of each level."""


def kinds_of(record: Record) -> tuple[LinkKind, ...]:
    """The kinds of links that were asked for when it was built; none in older records."""
    with translated(record.path):
        if not record.has("meta"):
            return ()
        row = record.connection.execute(
            "SELECT value FROM meta WHERE key = ?", (KINDS_KEY,)
        ).fetchone()
    return () if row is None else link_kinds(row[0])


def relink(record: Record, meta: Meta, kinds: Sequence[LinkKind]) -> None:
    """Find levels and links anew, inside the caller's transaction; without kinds there are none."""
    do = record.connection
    do.execute("DELETE FROM links")
    do.execute("DELETE FROM levels")
    do.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (KINDS_KEY, ",".join(kinds)))
    if not kinds:
        return
    units = _units(record, meta, vectors=needs_vectors(kinds))
    levels = levels_of(units)
    seen = Units(units=units.units, remarks=units.remarks, vectors=units.vectors, levels=levels)
    do.executemany("INSERT INTO levels VALUES (?, ?)", levels.items())
    for kind in kinds:
        do.executemany(
            "INSERT INTO links VALUES (?, ?, ?, ?, ?)",
            [_row(link) for link in FINDERS[kind](seen)],
        )


def needs_vectors(kinds: Sequence[LinkKind]) -> bool:
    """Whether finding these takes the vectors of all chunks."""
    return "meaning" in kinds


def links_from(
    record: Record, chunks: Iterable[int], kinds: Sequence[LinkKind]
) -> tuple[Link, ...]:
    """Links of these kinds that lead from these chunks, in the order of the chunks."""
    marks = ",".join("?" * len(kinds))
    sql = (
        "SELECT source, target, kind, relation, weight FROM links WHERE source = ? "
        f"AND kind IN ({marks}) ORDER BY target, kind"
    )
    with translated(record.path):
        rows = [
            row
            for chunk in chunks
            for row in record.connection.execute(sql, (chunk, *kinds)).fetchall()
        ]
    return tuple(_link(row) for row in rows)


def all_links(record: Record, kinds: Sequence[LinkKind]) -> tuple[Link, ...]:
    """Every link of these kinds, in the order of sources, targets and kinds."""
    marks = ",".join("?" * len(kinds))
    sql = (
        f"SELECT source, target, kind, relation, weight FROM links WHERE kind IN ({marks}) "
        "ORDER BY source, target, kind"
    )
    with translated(record.path):
        return tuple(_link(row) for row in record.connection.execute(sql, tuple(kinds)))


def levels_by_chunk(record: Record, chunks: Iterable[int]) -> dict[int, int]:
    """The levels of those of the chunks that have one."""
    sql = "SELECT level FROM levels WHERE chunk = ?"
    with translated(record.path):
        found = ((one, record.connection.execute(sql, (one,)).fetchone()) for one in chunks)
        return {chunk: int(row[0]) for chunk, row in found if row is not None}


def linked_in(folder: Path) -> Linked:
    """See `linked`, of the collection in a folder.

    Raises:
        CollectionError: there is no such collection, or it is damaged.
    """
    record = Record.read(folder)
    try:
        return linked(record)
    finally:
        record.close()


def linked(record: Record) -> Linked:
    """Counts of levels and links; nothing in older records."""
    kinds = kinds_of(record)
    if not kinds:
        return Linked(kinds=(), links=(), levels={})
    with translated(record.path):
        links = record.connection.execute(
            "SELECT kind, relation, count(*) FROM links GROUP BY kind, relation ORDER BY 1, 2"
        ).fetchall()
        levels = record.connection.execute(
            "SELECT level, count(*) FROM levels GROUP BY level ORDER BY level"
        ).fetchall()
    return Linked(
        kinds=kinds,
        links=tuple(LinkCount(kind=k, relation=r, links=n) for k, r, n in links),
        levels=dict(levels),
    )


def damaged(record: Record) -> tuple[str, ...]:
    """What of levels and links does not fit the chunks: it must be found anew."""
    if not kinds_of(record):
        return ()
    with translated(record.path):
        counts = record.connection.execute(
            "SELECT (SELECT count(*) FROM links WHERE source NOT IN (SELECT id FROM chunks) "
            "OR target NOT IN (SELECT id FROM chunks)), "
            "(SELECT count(*) FROM chunks WHERE id NOT IN (SELECT chunk FROM levels)), "
            "(SELECT count(*) FROM levels WHERE chunk NOT IN (SELECT id FROM chunks))"
        ).fetchone()
    words = ("links lead from or to no chunk", "chunks have no level", "levels have no chunk")
    return tuple(f"{n} {what}" for n, what in zip(counts, words, strict=True) if n)


def misnamed(record: Record) -> tuple[tuple[str, str], ...]:
    """Names in texts that no unit has, or that several have: the document and what is wrong."""
    meta = record.meta()
    if meta is None or not kinds_of(record) or not said_of(record):
        return ()
    return tuple(faults(_units(record, meta, vectors=False)))


def said_of(record: Record) -> dict[str, tuple[Remark, ...]]:
    """What documents say of their units, by path; nothing in older records."""
    if not record.has("remarks"):
        return {}
    with translated(record.path):
        rows = record.connection.execute(
            "SELECT path, said FROM remarks JOIN documents ON documents.id = remarks.document "
            "ORDER BY path"
        ).fetchall()
    return {path: tuple(Remark.from_json(each) for each in json.loads(said)) for path, said in rows}


def _units(record: Record, meta: Meta, *, vectors: bool = True) -> Units:
    import numpy as np

    texts = {row.path: row.text or "" for row in record.documents()}
    units = [
        Unit(
            chunk=row.id,
            document=row.document,
            start=row.start,
            end=row.end,
            headings=row.headings,
            text=texts[row.document][row.start : row.end],
        )
        for row in record.chunks()
    ]
    empty = np.empty((0, meta.dimensions), dtype=np.float32)
    matrix = record.matrix(meta)[1] if vectors else empty
    return Units(units=units, remarks=said_of(record), vectors=matrix)


def _row(link: Link) -> tuple[object, ...]:
    return (link.source, link.target, link.kind, link.relation, link.weight)


def _link(row: tuple[int, int, LinkKind, Relation, float]) -> Link:
    source, target, kind, relation, weight = row
    return Link(source=source, target=target, kind=kind, relation=relation, weight=weight)
