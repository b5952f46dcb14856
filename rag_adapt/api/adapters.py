"""`/v1/adapters`: train, show, prove, make current, delete.

It does not know how adapters are trained, proven or kept.
"""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Path, Query, Request, Response

from rag_adapt.adapters.card import Card
from rag_adapt.adapters.store import AdapterStore
from rag_adapt.api.desk import (
    BENCH,
    CHAT,
    Desk,
    IdempotencyKey,
    accept,
    accepted,
    desk_of,
    shown,
)
from rag_adapt.api.holding import make_ready, release
from rag_adapt.api.problems import ApiProblem
from rag_adapt.api.run_orders import check_skills, options, own_flags
from rag_adapt.core.errors import AdapterError
from rag_adapt.jobs.job import Job
from rag_adapt.schemas.adapters import Pointer, Removed, TrainRequest
from rag_adapt.schemas.jobs import JobInfo
from rag_adapt.settings import OWN_WEIGHTS, Settings

router = APIRouter(tags=["adapters"])
VERSION: Final = "orders@e8275acfcb4e"
ORDER: Final[dict[str, Any]] = {"skill": "orders", "examples": 200, "epochs": 3}
CARD: Final[dict[str, Any]] = {
    "schema_version": 1,
    "name": "orders",
    "version": VERSION,
    "skill": "orders",
    "skill_hash": "2f0c1d9b7a55",
    "items_hash": "9b0d5f1c7e21",
    "base_model": "default",
    "weights_hash": "8b1f0c2a7d3e",
    "chat_template_hash": "51c2a0d7b9e4",
    "template_hash": "0f5b7e9c2d11",
    "with_context": False,
    "settings": {
        "rank": 8,
        "alpha": 16,
        "learning_rate": 0.0005,
        "epochs": 3,
        "batch_size": 4,
        "seed": 0,
        "dtype": "bfloat16",
        "device": "cpu",
        "shared_prefix": True,
    },
    "examples": 200,
    "tokens": 31000,
    "answer_tokens": 2400,
    "seconds": 140.5,
    "peak_memory_bytes": 1500000000,
    "size_bytes": 9800000,
    "loss_curve": [{"step": 1, "loss": 3.1}],
    "dev_examples": 40,
    "dev_bits_before": 4.2,
    "dev_bits_after": 0.9,
    "libraries": {"peft": "0.21.2"},
    "created": "2026-11-20T10:00:00+00:00",
}
OPTIONS: Final = {
    "examples": "--examples",
    "learn_from": "--from",
    "corpus_rows": "--corpus-rows",
    "rank": "--rank",
    "learning_rate": "--lr",
    "general_share": "--general-share",
    "budget": "--budget",
    "seed": "--seed",
    "epochs": "--epochs",
    "batch_size": "--batch-size",
    "name": "--name",
}
"""By field of a request."""
SWITCHES: Final = {
    "context": "--context",
    "sweep": "--sweep",
    "gradient_checkpointing": "--gradient-checkpointing",
    "four_bit": "--four-bit",
}
USERS: Final = frozenset({"adapters", "bench"})
"""Commands that may be reading any adapter."""
Version = Annotated[str, Path(pattern=r"^[a-z0-9-]{3,48}@[0-9a-f]{12}$", examples=[VERSION])]


@router.post(
    "/v1/adapters",
    summary="Train an adapter",
    operation_id="train",
    status_code=202,
    response_model=JobInfo,
    responses=accepted(404, 413, 415),
    openapi_extra=BENCH,
)
async def train(
    request: Request,
    response: Response,
    body: Annotated[
        TrainRequest,
        Body(openapi_examples={"orders": {"summary": "From 200 examples", "value": ORDER}}),
    ],
    idempotency_key: IdempotencyKey = None,
) -> JobInfo:
    """Run `rag-adapt adapters train` as a job; the adapter becomes current for its name.

    An interrupted training goes on when the same request is sent again. The job's `result` is the
    path of the adapter.
    """
    desk = desk_of(request)
    await asyncio.to_thread(_check_order, body, desk.settings)
    return await accept(request, response, command_of(body, desk.settings), idempotency_key)


@router.get(
    "/v1/adapters/{version}",
    summary="Show an adapter",
    operation_id="adapter",
    response_model=Card,
    responses=shown(CARD, 404),
    openapi_extra=CHAT,
)
async def adapter(request: Request, version: Version) -> Card:
    """Its card: what it was trained on, how, what that cost, and how well it did on dev."""
    return await asyncio.to_thread(lambda: found(request, version).card(version))


@router.post(
    "/v1/adapters/{version}/prove",
    summary="Prove an adapter",
    operation_id="prove",
    status_code=202,
    response_model=JobInfo,
    responses=accepted(404),
    openapi_extra=BENCH,
)
async def prove(
    request: Request, response: Response, version: Version, idempotency_key: IdempotencyKey = None
) -> JobInfo:
    """Run `rag-adapt adapters prove` as a job: is it active, by hash, template, canary, parity?

    The job fails where it is not; its `proof` has the figure of each check either way. Routes
    prove their adapter by themselves before their first answer; this does so afresh.
    """
    await asyncio.to_thread(found, request, version)
    flags = own_flags(desk_of(request).settings, ("model",))
    argv = ["adapters", "prove", "--json", *flags, "--", version]
    return await accept(request, response, argv, idempotency_key)


@router.post(
    "/v1/adapters/{version}/current",
    summary="Make an adapter current",
    operation_id="set_current",
    response_model=Pointer,
    responses=shown({"name": "orders", "current": VERSION}, 404, 409, 507),
    openapi_extra=BENCH,
)
async def set_current(request: Request, version: Version) -> Pointer:
    """From now on its name means this version; requests under way end with what they began.

    It is loaded and proven first, so that nobody waits for it; where that fails, nothing changes.
    """
    store = await asyncio.to_thread(found, request, version)
    await make_ready(request, version)
    await asyncio.to_thread(store.set_current, version)
    return Pointer(name=version.partition("@")[0], current=version)


@router.delete(
    "/v1/adapters/{version}",
    summary="Delete an adapter",
    operation_id="delete_adapter",
    response_model=Removed,
    responses=shown({"version": VERSION}, 404, 409, 507),
    openapi_extra={"x-scope": "admin"},
)
async def delete(
    request: Request,
    version: Version,
    current: Annotated[bool, Query(examples=[False])] = False,
) -> Removed:
    """Delete its files. Refused while it is current, unless `current=true`, and while a job runs
    that may be reading it. Requests that use it are waited for, and the engine lets it go first.
    """
    store = await asyncio.to_thread(_removable, request, version, current)
    await release(request, version)
    await asyncio.to_thread(store.remove, version)
    return Removed(version=version)


def command_of(order: TrainRequest, settings: Settings) -> list[str]:
    """The command line after `rag-adapt`."""
    given = order.model_dump()
    return [
        *("adapters", "train", "--json", *own_flags(settings, ("model", "device"))),
        *options(given, OPTIONS),
        *(flag for name, flag in SWITCHES.items() if given[name]),
        *("--", order.skill),
    ]


def _check_order(order: TrainRequest, settings: Settings) -> None:
    """What can be known before the job begins.

    Raises:
        UnknownSkillError: there is no such skill.
        AdapterError: the engine's weights are not ours, or documents are wanted and there are none.
    """
    from rag_adapt.bench.context_rows import needs_documents
    from rag_adapt.skills.load import find_skill

    check_skills([order.skill], settings.home)
    check_own_weights(settings)
    skill = find_skill(order.skill, settings.home)
    if order.context or order.learn_from != "examples":
        needs_documents(skill)


def check_own_weights(settings: Settings) -> None:
    """Stop unless the base model's weights are here to adapt.

    Raises:
        AdapterError: naming the engine.
    """
    if settings.engine not in OWN_WEIGHTS:
        raise AdapterError(
            f"adapters cannot be trained or probed for the {settings.engine} engine",
            hint="Serve with `rag-adapt serve --engine embedded`.",
        )


def found(request: Request, version: str) -> AdapterStore:
    """The store, if it holds this version.

    Raises:
        ApiProblem: it does not.
    """
    store = AdapterStore(desk_of(request).home)
    if not (store.folder / version).is_dir():
        raise ApiProblem(
            status=404,
            code="adapter-not-found",
            detail=f"there is no adapter {version!r}",
            hint="GET /v1/adapters lists them.",
        )
    return store


def _removable(request: Request, version: str, current: bool) -> AdapterStore:
    """The store, if this version may be deleted.

    Raises:
        ApiProblem: there is none, or it is in use.
    """
    store = found(request, version)
    if store.current(version.partition("@")[0]) == version and not current:
        raise _in_use(
            f"adapter {version!r} is current: routes answer with it",
            hint="Make another version current first, or send `?current=true`.",
            retryable=False,
        )
    if running := _readers(desk_of(request)):
        raise _in_use(
            f"job {running[0].id} runs `{running[0].argv[0]}` and may be reading {version!r}",
            hint="Wait until it has ended, or cancel it: POST /v1/jobs/ID/cancel.",
            retryable=True,
        )
    return store


def _readers(desk: Desk) -> Sequence[Job]:
    return [job for job in desk.jobs.list("running") if job.argv[0] in USERS]


def _in_use(detail: str, *, hint: str, retryable: bool) -> ApiProblem:
    return ApiProblem(
        status=409, code="adapter-in-use", detail=detail, hint=hint, retryable=retryable
    )
