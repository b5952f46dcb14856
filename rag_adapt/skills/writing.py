"""Writes a skill folder: all of it or nothing, in files that a person can edit.

It does not know where the skill comes from.
"""

import errno
import json
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rag_adapt.core.errors import SkillError, StorageError
from rag_adapt.core.template import Template
from rag_adapt.core.types import Item
from rag_adapt.skills.files import ITEMS_FILE, NAME, NAME_RULE, SKILL_FILE
from rag_adapt.skills.load import bundled_names, load_skill
from rag_adapt.skills.skill import Skill


@dataclass(frozen=True, kw_only=True)
class Parts:
    """All that a skill folder is made of."""

    head: Mapping[str, Any]
    """The keys of skill.toml, `name` among them, in the order they are written."""
    items: Sequence[Item]
    templates: Mapping[str, Template]
    documents: Mapping[str, str] = field(default_factory=dict)
    """Texts of the corpus by path inside it."""


def check_new(name: str, parent: Path) -> None:
    """Whether a skill of that name can be made there.

    Raises:
        SkillError: the name is not allowed, bundled, or taken.
    """
    if not NAME.fullmatch(name):
        raise SkillError(f"{name!r} is no name for a skill", hint=f"Use {NAME_RULE}.")
    if name in bundled_names():
        raise SkillError(
            f"the name {name!r} belongs to a bundled skill", hint="Choose another with --name."
        )
    if (parent / name).exists():
        raise _taken(parent / name)


def write_skill(parts: Parts, parent: Path) -> Skill:
    """Write the folder `parent/<name>`, read it back, and only then put it in its place.

    Raises:
        SkillError: the name is taken, or what was written would not load.
        StorageError: `parent` cannot be a folder.
    """
    name = str(parts.head["name"])
    check_new(name, parent)
    _make_folder(parent)
    draft = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=parent))
    try:
        folder = draft / name
        _write(parts, folder)
        load_skill(folder)
        _publish(folder, parent / name)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return load_skill(parent / name)


def toml_text(values: Mapping[str, Any]) -> str:
    """Strings, numbers, booleans and lists of strings as TOML; long texts over several lines."""
    return "".join(f"{key} = {_toml_value(value)}\n" for key, value in values.items())


def _taken(place: Path) -> SkillError:
    return SkillError(
        f"there is a skill {place.name!r} already, in {str(place)!r}",
        hint=f"Choose another name, or remove it first: rm -r {place}",
    )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, FileNotFoundError, NotADirectoryError) as error:
        raise StorageError(
            f"cannot make the folder {str(folder)!r}: {error.strerror}",
            hint="A file stands in the way; choose another home with --home.",
        ) from error


def _publish(folder: Path, place: Path) -> None:
    """One rename; another process may have taken the name meanwhile."""
    try:
        folder.rename(place)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
            raise _taken(place) from error
        raise


def _write(parts: Parts, folder: Path) -> None:
    (folder / "templates").mkdir(parents=True)
    _put(folder / SKILL_FILE, toml_text(parts.head))
    lines = (json.dumps(_line_of(item), ensure_ascii=False) + "\n" for item in parts.items)
    _put(folder / ITEMS_FILE, lines)
    for name, template in parts.templates.items():
        values = {"system": template.system, "user": template.user}
        _put(folder / "templates" / f"{name}.toml", toml_text(values))
    for name, text in parts.documents.items():
        document = folder / "corpus" / name
        document.parent.mkdir(parents=True, exist_ok=True)
        _put(document, text)


def _put(path: Path, text: str | Iterable[str]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        stream.writelines([text] if isinstance(text, str) else text)


def _line_of(item: Item) -> dict[str, Any]:
    line: dict[str, Any] = {
        "id": item.id,
        "input": item.input,
        "targets": list(item.targets),
        "split": item.split,
        "cluster": item.cluster,
    }
    if item.gold:
        line["gold"] = [
            {"document": span.document, "start": span.start, "end": span.end} for span in item.gold
        ]
    if item.tags:
        line["tags"] = list(item.tags)
    return line


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return _long_text(value) if _reads_better_long(value) else _short_text(value)
    return f"[{', '.join(_short_text(text) for text in value)}]"


def _short_text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _reads_better_long(text: str) -> bool:
    return "\n" in text.strip("\n") and not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text)


def _long_text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    if escaped.endswith('"'):
        escaped = escaped[:-1] + '\\"'
    return f'"""\n{escaped}"""'
