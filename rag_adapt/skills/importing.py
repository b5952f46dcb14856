"""Makes a skill out of a file of examples: read, sample, split, shape, write.

It does not know any format, how a split is drawn or how a folder is written.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rag_adapt.core.errors import SkillError
from rag_adapt.core.types import Item, ScorerName, Split, Task
from rag_adapt.skills.faults import Fault, skill_error
from rag_adapt.skills.files import documents_of
from rag_adapt.skills.formats import Format
from rag_adapt.skills.load import imported_folder
from rag_adapt.skills.shaping import Shape, first_templates, labels_listed, shape_of
from rag_adapt.skills.skill import Skill
from rag_adapt.skills.sources import read_table
from rag_adapt.skills.splitting import (
    Ratio,
    Sorted,
    cluster_names,
    named_splits,
    sample,
    split_by_column,
    split_by_ratio,
)
from rag_adapt.skills.tables import Columns, Row, Table
from rag_adapt.skills.writing import Parts, check_new, write_skill


@dataclass(frozen=True, kw_only=True)
class Import:
    """What to import, and how."""

    file: Path
    name: str
    columns: Columns = field(default_factory=Columns)
    format: Format | None = None
    """None: by the file's ending or content."""
    ratio: Ratio = field(default_factory=Ratio)
    """Used where no split column is named."""
    corpus: Path | None = None
    """Folder of documents to copy into the skill."""
    task: Task | None = None
    scorer: ScorerName | None = None
    labels: tuple[str, ...] = ()
    """Only items with these targets; empty: all."""
    max_labels: int | None = None
    """Only items with the most frequent targets, this many."""
    limit: int | None = None
    """Items at most, over all splits."""
    seed: int = 0
    skip_bad: bool = False


@dataclass(frozen=True, kw_only=True)
class ImportReport:
    """What came of it."""

    skill: Skill
    format: Format
    rows: int
    """Usable rows of the file."""
    left_out: tuple[Fault, ...]
    """Bad rows, where these were to be skipped."""
    notes: tuple[str, ...]
    """What a user should know."""


def import_skill(order: Import, *, home: Path) -> ImportReport:
    """Import a file as the skill `<home>/skills/<name>`, all or nothing.

    Raises:
        SkillError: the name is taken, the file cannot be read, a row is bad (all bad rows are
            listed), or no skill can be made of what is left.
    """
    parent = imported_folder(home)
    check_new(order.name, parent)
    format, table = read_table(order.file, order.columns, order.format)
    table = _with_corpus(table, order)
    table, splits = _with_splits(table, order)
    if table.faults and not order.skip_bad:
        raise skill_error(
            f"{str(order.file)!r}",
            table.faults,
            hint="Correct these lines, or leave them out with --skip-bad.",
        )
    rows = _chosen(table.rows, order)
    task = order.task
    if task is None and (order.labels or order.max_labels is not None):
        task = "classification"
    shape = shape_of([row.targets for row in rows], format, task, order.scorer)
    if order.limit is not None:
        rows = sample(rows, order.limit, _strata(rows, shape, splits), order.seed)
        shape = shape_of([row.targets for row in rows], format, shape.task, shape.scorer)
    places, moved = _placed(rows, shape, splits, order)
    _demand_test(places, order)
    skill = write_skill(_parts(places, shape, table, order), parent)
    return ImportReport(
        skill=skill,
        format=format,
        rows=len(table.rows),
        left_out=table.faults,
        notes=(*table.notes, *_notes(places, shape, moved)),
    )


def _with_corpus(table: Table, order: Import) -> Table:
    """The table with the documents of --corpus, if there is one."""
    if order.corpus is None:
        return table
    if not order.corpus.is_dir():
        raise SkillError(f"there is no folder {str(order.corpus)!r}", hint="Check --corpus.")
    texts: dict[str, str] = {}
    faults: list[Fault] = []
    for name, path in documents_of(order.corpus).items():
        try:
            text = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            faults.append(Fault(file=str(path), reason=f"is not UTF-8: byte {error.start + 1}"))
            continue
        if text.strip():
            texts[name] = text
        else:
            faults.append(Fault(file=str(path), reason="is empty"))
    if not texts and not faults:
        raise SkillError(
            f"{str(order.corpus)!r} has no .md or .txt document",
            hint="Give --corpus a folder of markdown or text files.",
        )
    return replace(table, documents={**table.documents, **texts}, faults=(*table.faults, *faults))


def _with_splits(table: Table, order: Import) -> tuple[Table, dict[int, Split] | None]:
    """The table without rows whose split has no known name, and the splits, if it has any."""
    if order.columns.split is None:
        return table, None
    splits, faults = named_splits(table.rows, order.columns.split, order.file.name)
    kept = tuple(row for row in table.rows if row.number in splits)
    found = sorted((*table.faults, *faults), key=lambda fault: fault.line or 0)
    return replace(table, rows=kept, faults=tuple(found)), splits


def _chosen(rows: Sequence[Row], order: Import) -> list[Row]:
    """The rows with the wanted labels; all where none are named."""
    counts = Counter(row.targets[0] for row in rows)
    if unknown := sorted(set(order.labels) - set(counts)):
        shown = ", ".join(sorted(counts)[:100])
        raise SkillError(
            f"--labels names targets that the file has not: {', '.join(map(repr, unknown))}",
            hint=f"It has: {shown}",
        )
    wanted = set(order.labels or counts)
    if order.max_labels is not None:
        ranked = sorted(wanted, key=lambda label: (-counts[label], label))
        wanted = set(ranked[: order.max_labels])
    chosen = [row for row in rows if row.targets[0] in wanted]
    if not chosen:
        raise SkillError(
            f"{str(order.file)!r} has no row that can be used",
            hint="See the bad lines without --skip-bad, and check --labels and --max-labels.",
        )
    return chosen


def _strata(rows: Sequence[Row], shape: Shape, splits: Mapping[int, Split] | None) -> list[str]:
    """What a sample keeps the proportions of: labels, and the file's own splits."""
    return [
        f"{splits[row.number] if splits else ''} {row.targets[0] if shape.labels else ''}"
        for row in rows
    ]


def _placed(
    rows: Sequence[Row], shape: Shape, splits: Mapping[int, Split] | None, order: Import
) -> tuple[list[Sorted], int]:
    clusters = cluster_names(rows)
    if splits is not None:
        return split_by_column(rows, clusters, splits)
    strata = _strata(rows, shape, None)
    return split_by_ratio(rows, clusters, strata, order.ratio, order.seed), 0


def _demand_test(places: Sequence[Sorted], order: Import) -> None:
    counts = Counter(place.split for place in places)
    if counts["test"] == 0:
        raise SkillError(
            f"no item would be in the test split (train {counts['train']}, dev {counts['dev']})",
            hint="Give more rows, another --split-ratio, or leave out --split.",
        )


def _parts(places: Sequence[Sorted], shape: Shape, table: Table, order: Import) -> Parts:
    head = {
        "name": order.name,
        "title": order.name.replace("-", " ").capitalize(),
        "description": f"Imported from {order.file.name}.",
        "task": shape.task,
        "scorer": shape.scorer,
        "scorers": list(shape.scorers),
        "labels": list(shape.labels),
        "max_tokens": shape.max_tokens,
        "stop": list(shape.stop),
        "cluster": _cluster_words(table),
        "unique_targets": shape.task in ("text", "extraction"),
        "licence": "unknown: as the imported file's",
        "source": f"{order.file.name}, seed {order.seed}",
    }
    items = [_item(place, order.name) for place in places]
    templates = first_templates(shape, with_context=bool(table.documents))
    return Parts(head=head, items=items, templates=templates, documents=table.documents)


def _cluster_words(table: Table) -> str:
    if any(row.group is not None for row in table.rows):
        return "paragraph the question is on, or the same input but for case and punctuation"
    return "the same input but for case and punctuation"


def _item(place: Sorted, name: str) -> Item:
    row = place.row
    return Item(
        id=f"{name}-{row.number:05d}",
        input=row.input,
        targets=row.targets,
        split=place.split,
        cluster=place.cluster,
        gold=row.gold,
    )


def _notes(places: Sequence[Sorted], shape: Shape, moved: int) -> list[str]:
    notes = []
    if shape.labels and not labels_listed(shape.labels):
        notes.append("the labels are too long (or hold commas): the template does not list them")
    if moved:
        notes.append(f"{moved} rows moved to another split: their near-identical twin is there")
    clusters = Counter(place.cluster for place in places)
    if together := sum(count for count in clusters.values() if count > 1):
        notes.append(f"{together} rows share a cluster with another (near-identical, or one text)")
    tested = {place.row.targets[0] for place in places if place.split == "test"}
    if untested := sorted(set(shape.labels) - tested):
        notes.append(f"no test item for {len(untested)} labels: {', '.join(untested[:10])}")
    return notes
