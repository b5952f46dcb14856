"""An upload as a skill: kept in a private folder, then imported by a limited process.

It does not know HTTP statuses beyond the one for a taken name. Names that a client chose are
never used as paths.
"""

import asyncio
import errno
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import UploadFile
from pydantic import Field, StringConstraints

from rag_adapt.core.errors import SkillError
from rag_adapt.core.types import ScorerName, Task
from rag_adapt.limited.bounds import Bounds
from rag_adapt.limited.call import call
from rag_adapt.schemas.orders import Count, Seed, SkillName
from rag_adapt.schemas.skills import Imported
from rag_adapt.schemas.wire import Wire
from rag_adapt.skills.files import DOCUMENT_ENDINGS
from rag_adapt.skills.formats import Format
from rag_adapt.skills.load import imported_folder, list_skills
from rag_adapt.skills.uploaded import BOUNDS, SHOWN, import_uploaded

__all__ = ["SHOWN", "ImportForm", "SkillExistsError", "import_upload", "safe_name"]
HOME: Final = "home"
"""The private home that a skill is made in."""
UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")
LONGEST_NAME: Final = 80


Column = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class ImportForm(Wire):
    """The fields of `POST /v1/skills:import`, as `multipart/form-data`."""

    file: UploadFile
    """CSV, TSV, JSON Lines, BIG-Bench or SQuAD."""
    documents: Annotated[list[UploadFile], Field(max_length=500)] = Field(default_factory=list)
    """Markdown and text files, for the skill's corpus."""
    name: SkillName
    """Of the new skill."""
    input: Column = "input"
    """Column, or key, of the input."""
    target: Column = "target"
    """Column, or key, of the target."""
    format: Format | None = None
    """Default: by the file's ending or content."""
    split: Column | None = None
    """Column that holds train, dev or test."""
    split_ratio: Annotated[str, StringConstraints(max_length=40)] | None = None
    """Shares of train/dev/test, such as `0.6/0.2/0.2`."""
    scorer: ScorerName | None = None
    """Default: by the targets."""
    task: Task | None = None
    """Default: by the targets."""
    labels: Annotated[str, StringConstraints(max_length=10_000)] = ""
    """Only these targets: `a,b,c`."""
    max_labels: Annotated[int, Field(ge=2, le=10_000)] | None = None
    """Only the most frequent targets, this many."""
    limit: Count | None = None
    """Items at most, sampled."""
    seed: Seed = 0
    skip_bad: bool = False
    """Whether bad lines are left out and listed."""


class SkillExistsError(SkillError):
    """A skill of that name is there already."""

    code = "skill-exists"
    status = 409


async def import_upload(form: ImportForm, home: Path, *, bounds: Bounds = BOUNDS) -> Imported:
    """Import what was uploaded as a new skill, all or nothing.

    A limited process reads it and makes the skill in a private folder; the skill appears by a
    rename.

    Args:
        form: What was sent.
        home: Skills lie in `home/skills`.
        bounds: What reading it may use up.

    Raises:
        SkillExistsError: the name is taken.
        SkillError: the file cannot be read, a row is bad, or no skill can be made of it.
        ParserError: to read it would take more than it may, or broke the reader.
    """
    if form.name in {place.name for place in list_skills(home)}:
        raise _taken(form.name)
    skills = imported_folder(home)
    skills.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".upload-", dir=skills) as folder:
        asked = await asyncio.to_thread(_asked, form, Path(folder))
        place = Path(asked["home"]).parent
        try:
            told = await call(import_uploaded, asked, refused_as=SkillError, bounds=bounds)
        except SkillError as error:
            raise SkillError(
                _without(error.fact, place), hint=_without(error.hint, place)
            ) from error
        _publish(imported_folder(place / HOME) / form.name, skills / form.name)
        told["left_out"] = [_without(text, place) for text in told["left_out"]]
        return Imported(**told)


def _asked(form: ImportForm, folder: Path) -> dict[str, Any]:
    """What the limited process is told; the files are kept first."""
    folder = folder.absolute()
    corpus = _corpus(form.documents, folder / "corpus")
    return {
        **form.model_dump(exclude={"file", "documents"}),
        "file": str(_kept(form.file, folder)),
        "corpus": None if corpus is None else str(corpus),
        "home": str(folder / HOME),
    }


def _publish(made: Path, place: Path) -> None:
    """One rename; another request may have taken the name meanwhile."""
    try:
        made.rename(place)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
            raise _taken(place.name) from error
        raise


def _taken(name: str) -> SkillExistsError:
    return SkillExistsError(
        f"there is a skill {name!r} already, and an import never replaces one",
        hint="Choose another name.",
    )


def _corpus(uploads: Sequence[UploadFile], folder: Path) -> Path | None:
    """The documents in a folder of their own; None without any.

    Raises:
        SkillError: one is neither markdown nor text, or two have one name.
    """
    if not uploads:
        return None
    folder.mkdir()
    for upload in uploads:
        name = safe_name(upload.filename)
        if not name.lower().endswith(DOCUMENT_ENDINGS):
            raise SkillError(
                f"document {name!r} is neither markdown nor text",
                hint=f"Upload files that end in {' or '.join(DOCUMENT_ENDINGS)}.",
            )
        if (folder / name).exists():
            raise SkillError(
                f"two documents have the name {name!r}", hint="Give each a name of its own."
            )
        _kept(upload, folder)
    return folder


def _kept(upload: UploadFile, folder: Path) -> Path:
    path = folder / safe_name(upload.filename)
    with path.open("xb") as file:
        shutil.copyfileobj(upload.file, file)
    return path


def safe_name(sent: str | None) -> str:
    """A plain file name made of what a client sent: its last part, without anything unusual."""
    last = re.split(r"[/\\]", sent or "")[-1]
    name = UNSAFE.sub("-", last).lstrip(".-")
    return name[-LONGEST_NAME:].lstrip(".-") or "upload"


def _without(text: str, folder: Path) -> str:
    """A message without the place of the upload, which is gone when it is read."""
    return text.replace(f"{folder}/corpus/", "").replace(f"{folder}/", "")
