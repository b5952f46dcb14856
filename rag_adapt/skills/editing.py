"""Changes one template of a skill folder: checked as a whole first, never over another's change.

It does not know HTTP, nor which skills may be changed.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rag_adapt.core.errors import SkillError
from rag_adapt.core.template import Template
from rag_adapt.skills.faults import skill_error
from rag_adapt.skills.load import read_skill
from rag_adapt.skills.skill import Skill
from rag_adapt.skills.writing import toml_text

MOST: Final = 32
"""Templates of one skill."""
KINDS: Final = ("prompt", "context")
"""What a template's name begins with: routes send no other."""


class TemplateChangedError(SkillError):
    """The template is not the one that was looked at."""

    code = "template-changed"
    status = 409


@dataclass(frozen=True, kw_only=True)
class Stored:
    """What came of it."""

    skill: Skill
    """With the new template; its data hash counts the change."""
    before: str
    """The data hash that the skill had."""


def store_template(folder: Path, template: Template, *, replaces: str | None) -> Stored:
    """Write a template of a skill, or add one, if the skill is sound with it.

    Args:
        folder: The skill's.
        template: Its name becomes the file's.
        replaces: Hash of the template that it takes the place of; None adds a new one.

    Raises:
        TemplateChangedError: there is another template of that name by now, or none.
        SkillError: the skill would not be sound, or the name is none, or there are too many.
    """
    if not template.name.startswith(KINDS):
        raise SkillError(
            f"{template.name!r} is no name for a template: no route would send it",
            hint="Let it begin with `prompt`, or with `context` if it shows passages.",
        )
    with _alone(folder):
        known = _sound(folder, folder.name)
        _check_place(known, template, replaces)
        with tempfile.TemporaryDirectory(prefix=".edit-", dir=folder.parent) as place:
            draft = _draft(folder, Path(place) / folder.name)
            file = f"templates/{template.name}.toml"
            values = {"system": template.system, "user": template.user}
            (draft / file).write_text(toml_text(values), encoding="utf-8", newline="\n")
            changed = _sound(draft, folder.name)
            (draft / file).replace(folder / file)
    return Stored(skill=changed, before=known.data_hash)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Nobody else stores a template of this skill meanwhile, in this process or another."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _sound(folder: Path, name: str) -> Skill:
    """The skill of a folder.

    Raises:
        SkillError: with its faults.
    """
    reading = read_skill(folder)
    if reading.skill is None:
        raise skill_error(
            f"skill {name!r}", reading.faults, hint="Nothing was changed. Correct this first."
        )
    return reading.skill


def _check_place(skill: Skill, template: Template, replaces: str | None) -> None:
    there = skill.templates.get(template.name)
    if (None if there is None else there.hash) != replaces:
        state = "is no longer there" if there is None else "is not the one that was looked at"
        raise TemplateChangedError(
            f"template {template.name!r} of skill {skill.name!r} {state}",
            hint="Read it again, and make your change to what stands there now.",
        )
    if there is None and len(skill.templates) >= MOST:
        raise SkillError(
            f"skill {skill.name!r} has {len(skill.templates)} templates; {MOST} are the most",
            hint="Change one that is there.",
        )


def _draft(folder: Path, draft: Path) -> Path:
    """The same skill, its templates copied, everything else the very files."""
    draft.mkdir()
    for part in folder.iterdir():
        if part.name != "templates":
            (draft / part.name).symlink_to(part.absolute())
    shutil.copytree(folder / "templates", draft / "templates")
    return draft
