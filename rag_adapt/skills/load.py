"""Reads skill folders, strictly and with every fault at once, and finds them by name.

It does not know settings: the home folder is handed in.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

from rag_adapt.core.errors import SkillError
from rag_adapt.core.template import Template, placeholders
from rag_adapt.core.types import Item, Span, content_hash
from rag_adapt.skills.faults import Fault, skill_error
from rag_adapt.skills.files import (
    ITEMS_FILE,
    SKILL_FILE,
    Placed,
    SkillFile,
    documents_of,
    read_items,
    read_skill_file,
    read_templates,
)
from rag_adapt.skills.skill import Skill

BUNDLED: Final = Path(__file__).parent / "bundled"
Origin = Literal["bundled", "imported"]


@dataclass(frozen=True, kw_only=True)
class SkillPlace:
    """Where a skill lies; it may still turn out to be faulty."""

    name: str
    folder: Path
    origin: Origin


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What reading a folder gave: a skill, or else its faults."""

    skill: Skill | None
    faults: tuple[Fault, ...]


def imported_folder(home: Path) -> Path:
    """Where imported skills lie."""
    return home / "skills"


def list_skills(home: Path) -> tuple[SkillPlace, ...]:
    """Bundled skills, then imported ones, each sorted by name; unread, so never an error."""
    bundled = _places(BUNDLED, "bundled")
    return (*bundled, *_places(imported_folder(home), "imported"))


def bundled_names() -> frozenset[str]:
    """Names that nothing imported may take."""
    return frozenset(place.name for place in _places(BUNDLED, "bundled"))


def find_skill(name: str, home: Path) -> Skill:
    """The skill of that name, or in the folder of that path.

    Raises:
        SkillError: there is none (the known ones are listed), there are two, or it is faulty.
    """
    return load_skill(find_folder(name, home))


def find_folder(name: str, home: Path) -> Path:
    """The folder of a skill's name, or the path itself; nothing in it is read.

    Raises:
        SkillError: there is none (the known ones are listed), or there are two.
    """
    places = list_skills(home)
    found = [place.folder for place in places if place.name == name]
    if len(found) > 1:
        raise SkillError(
            f"the name {name!r} belongs to a bundled skill, but {str(found[1])!r} has it too",
            hint=f"Rename that folder and the name in its {SKILL_FILE}.",
        )
    if found:
        return found[0]
    if name and Path(name).is_dir():
        return Path(name)
    raise SkillError(
        f"there is no skill {name!r}; known: {', '.join(p.name for p in places) or 'none'}",
        hint="See `rag-adapt skills list`; import one with `rag-adapt skills import FILE --name "
        "NAME`, or give the path of a skill folder.",
    )


def load_skill(folder: Path) -> Skill:
    """Read one skill folder.

    Raises:
        SkillError: with every fault of every file (the first 20 spelled out).
    """
    reading = read_skill(folder)
    if reading.skill is None:
        raise skill_error(
            f"skill {str(folder)!r}",
            reading.faults,
            hint=f"Correct these files, then run `rag-adapt skills check {folder}`.",
        )
    return reading.skill


def read_skill(folder: Path) -> Reading:
    """Read one skill folder and keep its faults, all of them.

    Raises:
        SkillError: the folder itself is missing.
    """
    if not folder.is_dir():
        raise SkillError(
            f"there is no skill folder {str(folder)!r}",
            hint="Make one with `rag-adapt skills new NAME`, or see `rag-adapt skills list`.",
        )
    faults: list[Fault] = []
    head = read_skill_file(folder, faults)
    templates = read_templates(folder, faults)
    placed = read_items(folder, faults)
    corpus = folder / "corpus" if (folder / "corpus").is_dir() else None
    faults.extend(_faults_of_templates(folder, templates, head, corpus))
    faults.extend(_faults_of_corpus(corpus, placed))
    faults.extend(_faults_of_items(placed))
    if head is not None:
        faults.extend(_faults_of_labels(head, placed))
        faults.extend(_faults_of_name(head, folder))
    if faults or head is None:
        return Reading(skill=None, faults=tuple(faults))
    items = tuple(p.item for p in placed)
    return Reading(skill=_skill_of(head, folder, items, templates, corpus), faults=())


def _places(parent: Path, origin: Origin) -> list[SkillPlace]:
    if not parent.is_dir():
        return []
    folders = sorted(path for path in parent.iterdir() if path.is_dir())
    return [
        SkillPlace(name=folder.name, folder=folder, origin=origin)
        for folder in folders
        if not folder.name.startswith((".", "_"))
    ]


def _skill_of(
    head: SkillFile,
    folder: Path,
    items: tuple[Item, ...],
    templates: Mapping[str, Template],
    corpus: Path | None,
) -> Skill:
    hashed = {
        "skill": head.model_dump(),
        "items": [asdict(item) for item in items],
        "templates": {name: [t.system, t.user] for name, t in templates.items()},
    }
    return Skill(
        name=head.name,
        title=head.title,
        description=head.description,
        task=head.task,
        scorer=head.scorer,
        scorers=tuple(head.scorers),
        labels=tuple(head.labels),
        max_tokens=head.max_tokens,
        stop=tuple(head.stop),
        cluster=head.cluster,
        unique_targets=head.unique_targets,
        licence=head.licence,
        source=head.source,
        folder=folder,
        items=items,
        templates=templates,
        data_hash=content_hash(hashed),
        corpus=corpus,
    )


def _faults_of_name(head: SkillFile, folder: Path) -> Iterator[Fault]:
    called = folder.resolve().name
    if head.name != called:
        reason = f"name: is {head.name!r}, but the folder is called {called!r}"
        yield Fault(file=SKILL_FILE, reason=reason)


def _faults_of_templates(
    folder: Path, templates: Mapping[str, Template], head: SkillFile | None, corpus: Path | None
) -> Iterator[Fault]:
    needed = ["prompt"] if corpus is None else ["prompt", "context"]
    for name in needed:
        if not (folder / "templates" / f"{name}.toml").is_file():
            why = " (the skill has a corpus)" if name == "context" else ""
            yield Fault(file=f"templates/{name}.toml", reason=f"is missing{why}")
    for name, template in templates.items():
        file = f"templates/{name}.toml"
        if name.startswith("context") and not template.wants_context:
            yield Fault(file=file, reason="never shows the passages: {context} is missing")
        if name.startswith("prompt") and template.wants_context:
            yield Fault(file=file, reason="shows {context}, which only context*.toml may")
        if head is not None and not head.labels and _shows_labels(template):
            yield Fault(file=file, reason=f"shows {{labels}}, but {SKILL_FILE} declares none")


def _shows_labels(template: Template) -> bool:
    return any(
        "labels" in placeholders(text, template.name) for text in (template.system, template.user)
    )


def _faults_of_corpus(corpus: Path | None, placed: Sequence[Placed]) -> Iterator[Fault]:
    documents = {} if corpus is None else documents_of(corpus)
    if corpus is not None and not documents:
        yield Fault(file="corpus", reason="has no .md or .txt document")
    for name, path in documents.items():
        if path.stat().st_size == 0:
            yield Fault(file=f"corpus/{name}", reason="is empty")
    lengths: dict[str, int | str] = {}
    for place in placed:
        for span in place.item.gold:
            reason = _fault_of_span(span, documents, lengths)
            if reason:
                yield Fault(file=ITEMS_FILE, line=place.line, reason=reason)


def _fault_of_span(
    span: Span, documents: Mapping[str, Path], lengths: dict[str, int | str]
) -> str | None:
    if span.document not in documents:
        return f"gold: there is no document {span.document!r} in corpus/"
    if span.document not in lengths:
        lengths[span.document] = _length_of(documents[span.document])
    length = lengths[span.document]
    if isinstance(length, str):
        return f"gold: {span.document!r} {length}"
    if not span.start < span.end <= length:
        where = f"{span.start}..{span.end}"
        return f"gold: {where} is not a span of {span.document!r}, which has {length} characters"
    return None


def _length_of(path: Path) -> int | str:
    try:
        return len(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        return f"is not UTF-8: byte {error.start + 1}"


def _faults_of_items(placed: Sequence[Placed]) -> Iterator[Fault]:
    if placed and not any(place.item.split == "test" for place in placed):
        yield Fault(file=ITEMS_FILE, reason="has no item of the 'test' split")
    lines: dict[str, int] = {}
    homes: dict[str, Placed] = {}
    for place in placed:
        item = place.item
        first = lines.setdefault(item.id, place.line)
        if first != place.line:
            reason = f"id: {item.id!r} was used on line {first}"
            yield Fault(file=ITEMS_FILE, line=place.line, reason=reason)
        home = homes.setdefault(item.cluster, place)
        if home.item.split != item.split:
            reason = (
                f"cluster: {item.cluster!r} is in split {item.split!r} here and in "
                f"{home.item.split!r} on line {home.line}; a cluster stays in one split"
            )
            yield Fault(file=ITEMS_FILE, line=place.line, reason=reason)


def _faults_of_labels(head: SkillFile, placed: Sequence[Placed]) -> Iterator[Fault]:
    needs = head.task == "classification" or "label" in (head.scorer, *head.scorers)
    if needs and len(head.labels) < 2:
        reason = "labels: a classification (or the scorer 'label') needs at least two"
        yield Fault(file=SKILL_FILE, reason=reason)
    for label, count in Counter(head.labels).items():
        if count > 1:
            yield Fault(file=SKILL_FILE, reason=f"labels: {label!r} is declared {count} times")
    declared = frozenset(head.labels)
    for place in placed if declared else ():
        for target in place.item.targets:
            if target not in declared:
                reason = f"targets: {target!r} is not one of the declared labels"
                yield Fault(file=ITEMS_FILE, line=place.line, reason=reason)
