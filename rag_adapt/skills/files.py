"""The files of a skill folder as they must be written: strict models of each.

It does not know how faults of several files fit together; load does.
"""

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from rag_adapt.core.errors import TemplateError
from rag_adapt.core.template import Template
from rag_adapt.core.types import Item, ScorerName, Span, Split, Task
from rag_adapt.skills.faults import Fault, reasons

NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{2,47}")
NAME_RULE: Final = (
    "3 to 48 lower-case letters, digits and hyphens, beginning with a letter or digit"
)
SKILL_FILE: Final = "skill.toml"
ITEMS_FILE: Final = "items.jsonl"
DOCUMENT_ENDINGS: Final = (".md", ".txt")
_HALF: Final = re.compile("[\ud800-\udfff]")


def _not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be empty")
    return value


def _a_name(value: str) -> str:
    if not NAME.fullmatch(value):
        raise ValueError(f"must be {NAME_RULE}")
    return value


Filled = Annotated[str, AfterValidator(_not_blank)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class SkillFile(_Strict):
    """`skill.toml`."""

    name: Annotated[str, AfterValidator(_a_name)]
    title: Filled
    description: str
    task: Task
    scorer: ScorerName
    scorers: list[ScorerName] = []
    labels: list[Filled] = []
    max_tokens: int = Field(ge=1, le=4096)
    stop: list[Annotated[str, Field(min_length=1)]] = []
    cluster: Filled
    unique_targets: bool = False
    licence: Filled
    source: Filled


class GoldSpan(_Strict):
    """One entry of an item's `gold`."""

    document: Filled
    start: int = Field(ge=0)
    end: int = Field(ge=1)


class ItemLine(_Strict):
    """One line of `items.jsonl`."""

    id: Filled
    input: Filled
    targets: list[Filled] = Field(min_length=1)
    split: Split
    cluster: Filled
    gold: list[GoldSpan] = []
    tags: list[Filled] = []

    def item(self) -> Item:
        return Item(
            id=self.id,
            input=self.input,
            targets=tuple(self.targets),
            split=self.split,
            cluster=self.cluster,
            gold=tuple(Span(document=g.document, start=g.start, end=g.end) for g in self.gold),
            tags=tuple(self.tags),
        )


class TemplateFile(_Strict):
    """`templates/<name>.toml`."""

    system: str
    user: Filled


@dataclass(frozen=True, kw_only=True)
class Placed:
    """An item and the line it stands on."""

    item: Item
    line: int


def read_skill_file(folder: Path, faults: list[Fault]) -> SkillFile | None:
    """`skill.toml`, or None with the faults noted."""
    text = _text_of(folder, SKILL_FILE, faults)
    values = None if text is None else _toml_of(text, SKILL_FILE, faults)
    if text is None or values is None:
        return None
    try:
        return SkillFile.model_validate(values)
    except ValidationError as error:
        for key, reason in reasons(error):
            line = _line_of_key(text, key.partition(".")[0])
            faults.append(Fault(file=SKILL_FILE, line=line, reason=reason))
        return None


def read_templates(folder: Path, faults: list[Fault]) -> dict[str, Template]:
    """All `templates/*.toml`, sorted by name; those that are wrong are noted and left out."""
    templates = {}
    for path in sorted((folder / "templates").glob("*.toml")):
        template = _template_of(folder, path, faults)
        if template is not None:
            templates[path.stem] = template
    return templates


def read_items(folder: Path, faults: list[Fault]) -> list[Placed]:
    """All good lines of `items.jsonl`; the bad ones are noted."""
    path = folder / ITEMS_FILE
    if not path.is_file():
        faults.append(Fault(file=ITEMS_FILE, reason="is missing"))
        return []
    placed = []
    lines = path.read_bytes().removeprefix(b"\xef\xbb\xbf").rstrip().split(b"\n")
    if lines == [b""]:
        faults.append(Fault(file=ITEMS_FILE, reason="is empty"))
        return []
    for number, line in enumerate(lines, start=1):
        try:
            item = ItemLine.model_validate(json_object(line)).item()
        except ValidationError as error:
            found = [Fault(file=ITEMS_FILE, line=number, reason=r) for _, r in reasons(error)]
            faults.extend(found)
        except ValueError as error:
            faults.append(Fault(file=ITEMS_FILE, line=number, reason=str(error)))
        else:
            placed.append(Placed(item=item, line=number))
    return placed


def json_object(line: bytes) -> dict[str, Any]:
    """One JSON object in one line of UTF-8.

    Raises:
        ValueError: saying why it is none; a key given twice counts.
    """
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8: {error.reason} at byte {error.start + 1}") from error
    if not text.strip():
        raise ValueError("is an empty line")
    try:
        value = json.loads(text, object_pairs_hook=_without_repeats)
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON: {error.msg} at column {error.colno}") from error
    except RecursionError as error:
        raise ValueError("is not JSON that can be read: nested too deeply") from error
    if "\\u" in text and _HALF.search(json.dumps(value, ensure_ascii=False)):
        raise ValueError("holds half a character: an escape \\ud800 to \\udfff without its pair")
    if not isinstance(value, dict):
        raise ValueError(f"is not a JSON object but {type(value).__name__}")  # noqa: TRY004
    return value


def documents_of(corpus: Path) -> dict[str, Path]:
    """The corpus's documents by their path inside it (with forward slashes), sorted.

    Hidden files, and whatever lies in hidden folders, are no documents.
    """
    found = {
        path.relative_to(corpus).as_posix(): path
        for path in corpus.rglob("*")
        if path.suffix.lower() in DOCUMENT_ENDINGS and path.is_file()
    }
    return {
        name: path
        for name, path in sorted(found.items())
        if not any(part.startswith(".") for part in name.split("/"))
    }


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"has the key {key!r} twice")
        found[key] = value
    return found


def _template_of(folder: Path, path: Path, faults: list[Fault]) -> Template | None:
    file = f"templates/{path.name}"
    text = _text_of(folder, file, faults)
    values = None if text is None else _toml_of(text, file, faults)
    if text is None or values is None:
        return None
    try:
        read = TemplateFile.model_validate(values)
        return Template(system=read.system, user=read.user, name=path.stem)
    except ValidationError as error:
        for key, reason in reasons(error):
            faults.append(Fault(file=file, line=_line_of_key(text, key), reason=reason))
    except TemplateError as error:
        faults.append(Fault(file=file, reason=error.fact))
    return None


def _text_of(folder: Path, file: str, faults: list[Fault]) -> str | None:
    path = folder / file
    if not path.is_file():
        faults.append(Fault(file=file, reason="is missing"))
        return None
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        faults.append(Fault(file=file, reason=f"is not UTF-8: byte {error.start + 1}"))
        return None
    if not text.strip():
        faults.append(Fault(file=file, reason="is empty"))
        return None
    return text.replace("\r\n", "\n")


def _toml_of(text: str, file: str, faults: list[Fault]) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        at_line = re.search(r"at line (\d+)", str(error))
        line = int(at_line[1]) if at_line else len(text.splitlines())
        faults.append(Fault(file=file, line=line, reason=f"is not TOML: {error}"))
        return None


def _line_of_key(text: str, key: str) -> int | None:
    lines: Iterator[tuple[int, str]] = enumerate(text.splitlines(), start=1)
    return next((n for n, line in lines if re.match(rf"{re.escape(key)}\s*=", line)), None)
