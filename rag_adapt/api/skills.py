"""`/v1/skills/{name}`, `/v1/skills:import`: one skill, more skills.

It does not know how a skill is read, imported or judged.
"""

import asyncio
from dataclasses import asdict
from pathlib import Path as Folder
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Form, Header, Path, Request

from rag_adapt.api.catalog import skill_info
from rag_adapt.api.desk import BENCH, CHAT, desk_of, shown
from rag_adapt.api.imports import SHOWN, ImportForm, import_upload
from rag_adapt.api.run_orders import check_skills
from rag_adapt.core.errors import SkillError
from rag_adapt.schemas.skills import (
    ExampleText,
    Imported,
    NearDuplicates,
    SkillCheck,
    SkillDetail,
    SplitInfo,
)
from rag_adapt.serving.service import SkillEntry
from rag_adapt.skills.load import SkillPlace, list_skills, read_skill
from rag_adapt.skills.skill import Skill

router = APIRouter(tags=["skills"])
DETAIL: Final[dict[str, Any]] = {
    "name": "past-tense",
    "origin": "bundled",
    "fault": None,
    "title": "Past tense of English verbs",
    "description": "Gives the simple past of a verb.",
    "task": "text",
    "scorer": "exact",
    "labels": [],
    "items": {"train": 200, "dev": 48, "test": 160},
    "documents": False,
    "data_hash": "2f0c1d9b7a55",
    "scorers": [],
    "max_tokens": 8,
    "stop": ["\n"],
    "cluster": "the same verb",
    "licence": "Apache-2.0",
    "source": "Made for this project",
    "templates": ["prompt"],
    "sample": {"input": "walk", "output": "walked"},
}
CHECK: Final[dict[str, Any]] = {
    "name": "past-tense",
    "sound": True,
    "faults": [],
    "warnings": [],
    "splits": [
        {
            "split": "test",
            "items": 160,
            "clusters": 160,
            "median_input": 6,
            "longest_input": 12,
            "longest_target": 13,
            "with_gold": 0,
        }
    ],
    "documents": 0,
    "near_duplicates": [],
}
IMPORT: Final[dict[str, Any]] = {
    "file": "question,answer\nwalk,walked\ngo,went\n",
    "name": "my-verbs",
    "input": "question",
    "target": "answer",
}
IMPORTED: Final[dict[str, Any]] = {
    "name": "my-verbs",
    "format": "csv",
    "rows": 300,
    "items": {"train": 180, "dev": 60, "test": 60},
    "left_out": [],
    "notes": [],
}
LONGEST_SAMPLE: Final = 20_000
"""Characters."""
Name = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$", examples=["past-tense"])]


@router.get(
    "/v1/skills/{name}",
    summary="Show a skill",
    operation_id="skill",
    response_model=SkillDetail,
    responses=shown(DETAIL, 404),
    openapi_extra=CHAT,
)
async def skill(request: Request, name: Name) -> SkillDetail:
    """What it asks for, how it is scored, and which templates it has."""
    return await asyncio.to_thread(lambda: _detail(place_of(name, desk_of(request).home)))


@router.get(
    "/v1/skills/{name}/check",
    summary="Check a skill",
    operation_id="check_skill",
    response_model=SkillCheck,
    responses=shown(CHECK, 404),
    openapi_extra=BENCH,
)
async def check(request: Request, name: Name) -> SkillCheck:
    """Read it strictly: every fault, what may be wrong with it all the same, near-duplicates."""
    return await asyncio.to_thread(lambda: _checked(place_of(name, desk_of(request).home)))


@router.post(
    "/v1/skills:import",
    summary="Import a skill",
    operation_id="import_skill",
    status_code=201,
    response_model=Imported,
    responses=shown(IMPORTED, 408, 409, 413, 415, 422, 507, status=201),
    openapi_extra=BENCH,
)
async def import_(
    request: Request,
    body: Annotated[
        ImportForm,
        Form(
            media_type="multipart/form-data",
            openapi_examples={"csv": {"summary": "Two columns", "value": IMPORT}},
        ),
    ],
    x_rag_adapt: Annotated[
        Literal["1"],
        Header(description="Shows that no web page sent it.", examples=["1"]),
    ],
) -> Imported:
    """Make a skill of an uploaded file of examples, and of documents if there are any.

    It goes the way of `rag-adapt skills import`: all or nothing, and never over a skill that is
    there.
    """
    return await import_upload(body, desk_of(request).home)


def place_of(name: str, home: Folder) -> SkillPlace:
    """Where the skill of this name lies.

    Raises:
        UnknownSkillError: there is none.
    """
    check_skills([name], home)
    return next(place for place in list_skills(home) if place.name == name)


def _detail(place: SkillPlace) -> SkillDetail:
    entry = SkillEntry.of(place, read_skill(place.folder))
    found, shared = entry.skill, skill_info(entry).model_dump()
    if found is None:
        return SkillDetail(**shared)
    return SkillDetail(
        **shared,
        scorers=list(found.scorers),
        max_tokens=found.max_tokens,
        stop=list(found.stop),
        cluster=found.cluster,
        licence=found.licence,
        source=found.source,
        templates=list(found.templates),
        sample=_sample(found),
    )


def _sample(skill: Skill) -> ExampleText | None:
    first = next(iter(skill.training_items), None)
    if first is None or len(first.input) + len(first.targets[0]) > LONGEST_SAMPLE:
        return None
    return ExampleText(input=first.input, output=first.targets[0])


def _checked(place: SkillPlace) -> SkillCheck:
    from rag_adapt.scoring.targets import checked_skill
    from rag_adapt.skills.faults import Fault
    from rag_adapt.skills.summary import summarise

    faults: list[Fault] = []
    try:
        summary = summarise(checked_skill(place.folder, report=faults.append))
    except SkillError:
        if not faults:
            raise
        return SkillCheck(
            name=place.name,
            sound=False,
            faults=[str(fault) for fault in faults[:SHOWN]],
            warnings=[],
            splits=[],
            documents=0,
            near_duplicates=[],
        )
    return SkillCheck(
        name=place.name,
        sound=True,
        faults=[],
        warnings=list(summary.warnings),
        splits=[SplitInfo(**asdict(split)) for split in summary.splits],
        documents=summary.documents,
        near_duplicates=[NearDuplicates(**asdict(p)) for p in summary.near_duplicates[:SHOWN]],
    )
