"""`POST /v1/adapters/upload`: an adapter that was trained elsewhere.

It does not know what makes an adapter fit, nor how it is probed: a limited process checks it, and
a job imports it.
"""

import asyncio
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Form, Header, Request, Response, UploadFile
from pydantic import Field, StringConstraints

from rag_adapt.adapters.card import NAME_PATTERN
from rag_adapt.adapters.incoming import INSIDE, Incoming
from rag_adapt.adapters.store import AdapterStore
from rag_adapt.adapters.upload import (
    NEEDED,
    Shape,
    Taken,
    UnfitAdapterError,
    base_shapes,
    bounds_for,
    order,
    take,
)
from rag_adapt.api.adapters import check_own_weights
from rag_adapt.api.desk import Desk, IdempotencyKey, accept, accepted, desk_of
from rag_adapt.api.run_orders import check_skills, own_flags
from rag_adapt.limited.call import call
from rag_adapt.schemas.jobs import JobInfo
from rag_adapt.schemas.orders import SkillName
from rag_adapt.schemas.wire import Wire
from rag_adapt.settings import Settings

router = APIRouter(tags=["adapters"])
UPLOAD: Final[dict[str, Any]] = {
    "files": ["(adapter_config.json)", "(adapter_model.safetensors)"],
    "name": "orders-elsewhere",
    "skill": "orders",
}
ARCHIVE: Final = "archive"
"""What a file is called here whose name is none of those that count."""
COMMAND: Final = ("adapters", "import")
UPLOADED: Final = "--upload="


class AdapterForm(Wire):
    """The fields of an upload, as `multipart/form-data`."""

    files: Annotated[list[UploadFile], Field(min_length=1, max_length=2)]
    """A .zip, .tar or .tar.gz archive, or `adapter_config.json` and `adapter_model.safetensors`."""
    name: Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
    """Of the adapter."""
    skill: SkillName
    """Whose route it shall serve."""
    context: bool = False
    """Whether it was trained with retrieved passages, for `rag+lora`."""


@router.post(
    "/v1/adapters/upload",
    summary="Upload an adapter",
    operation_id="upload_adapter",
    status_code=202,
    response_model=JobInfo,
    responses=accepted(404, 408, 413, 415, 422),
    openapi_extra={"x-scope": "admin"},
)
async def upload(
    request: Request,
    response: Response,
    body: Annotated[
        AdapterForm,
        Form(
            media_type="multipart/form-data",
            openapi_examples={"peft": {"summary": "PEFT's two files", "value": UPLOAD}},
        ),
    ],
    x_rag_adapt: Annotated[
        Literal["1"],
        Header(description="Shows that no web page sent it.", examples=["1"]),
    ],
    idempotency_key: IdempotencyKey = None,
) -> JobInfo:
    """Take in a LoRA that PEFT wrote; a job probes it on the base model, and it becomes current.

    Sizes, names, configuration and tensors are checked against the base model before the answer.
    The job's `result` is the path of the adapter. Routes prove it before their first answer, as
    any other.
    """
    desk = desk_of(request)
    shapes = await asyncio.to_thread(_shapes, body.skill, desk.settings)
    taken = await _taken(body.files, shapes, desk)
    argv = command_of(body, taken.digits, desk.settings)
    return await accept(request, response, argv, idempotency_key)


def command_of(form: AdapterForm, digits: str, settings: Settings) -> list[str]:
    """The command line after `rag-adapt`; it names the upload by its digits, not by a path."""
    return [
        *(*COMMAND, "--json", *own_flags(settings, ("model", "device"))),
        *(["--context"] if form.context else []),
        f"--name={form.name}",
        f"--skill={form.skill}",
        f"{UPLOADED}{digits}",
    ]


def _shapes(skill: str, settings: Settings) -> dict[str, Shape]:
    """The modules of the base model.

    Raises:
        UnknownSkillError: there is no such skill.
        AdapterError: the engine's weights are not ours.
    """
    from rag_adapt.models.files import weight_files
    from rag_adapt.wiring import language_files

    check_skills([skill], settings.home)
    check_own_weights(settings)
    return base_shapes(weight_files(language_files(settings).path))


async def _taken(files: Sequence[UploadFile], shapes: Mapping[str, Shape], desk: Desk) -> Taken:
    """Check what was sent and let it wait for its job.

    Raises:
        UnfitAdapterError: it is no adapter, or none for this base model.
        ParserError: to find that out would take more than it may.
    """
    incoming = Incoming(AdapterStore(desk.home))
    spare = [_digits(job.argv) for job in desk.jobs.list("queued", "running")]
    await asyncio.to_thread(incoming.prune, spare=spare)
    with incoming.workspace() as place:
        sent = await asyncio.to_thread(_kept, files, place)
        asked = order(sent, place / INSIDE, shapes)
        known = await call(take, asked, refused_as=UnfitAdapterError, bounds=bounds_for(shapes))
        taken = Taken(**known)
        await asyncio.to_thread(incoming.keep, place, taken)
    return taken


def _digits(argv: Sequence[str]) -> str:
    """Which upload a job waits for; empty where it waits for none."""
    mine = argv[-1] if argv[: len(COMMAND)] == COMMAND else ""
    return mine.removeprefix(UPLOADED) if mine.startswith(UPLOADED) else ""


def _kept(files: Sequence[UploadFile], place: Path) -> dict[str, Path]:
    """The files on disk, under names of ours; what they were called counts only where it is known.

    Raises:
        UnfitAdapterError: two have one name.
    """
    sent: dict[str, Path] = {}
    for number, file in enumerate(files):
        name = file.filename if file.filename in NEEDED else ARCHIVE
        if name in sent:
            raise UnfitAdapterError(
                "the two files are not an adapter's configuration and weights",
                hint=f"Send {' and '.join(NEEDED)} under these names, or one archive of them.",
            )
        sent[str(name)] = place / f"sent-{number}"
        with sent[str(name)].open("xb") as kept:
            shutil.copyfileobj(file.file, kept)
    return sent
