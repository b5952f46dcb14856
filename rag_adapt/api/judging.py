"""The answer that somebody wants to judge: found by its trace, copied with what was asked.

It does not know what becomes of it.
"""

import asyncio
from typing import Any

from rag_adapt.api.problems import ApiProblem
from rag_adapt.api.security import Caller
from rag_adapt.core.errors import AdapterError, SkillError
from rag_adapt.core.template import BARE
from rag_adapt.feedback.asked import Asked, asked_in
from rag_adapt.feedback.entry import FeedbackError, Judged
from rag_adapt.serving.names import parse
from rag_adapt.serving.service import Service
from rag_adapt.serving.traces import KeptTrace
from rag_adapt.skills.load import list_skills, load_skill
from rag_adapt.skills.skill import Skill


async def judged_answer(service: Service, caller: Caller, *, trace_id: str, choice: int) -> Judged:
    """One answer of one of the caller's own traces.

    Raises:
        ApiProblem: 404, there is no such trace or choice, or somebody else asked.
        FeedbackError: there is no answer, or it cannot be told what was asked.
    """
    trace = await service.traces.find(trace_id)
    if trace is None or not _owns(caller, trace):
        raise _missing(
            "trace-not-found",
            f"there is no trace {trace_id!r} of yours, or it is no longer kept",
            "Take the id from `rag_adapt.trace_id` or the header X-Trace-Id of a response.",
        )
    if choice >= len(trace.answers):
        raise _missing(
            "choice-not-found",
            f"trace {trace_id!r} has {len(trace.answers)} answer(s); choice {choice} is none",
            "Choices count from 0.",
        )
    return await asyncio.to_thread(_judged, service, trace, choice)


def _owns(caller: Caller, trace: KeptTrace) -> bool:
    """Who asked, or anybody on this machine as long as there are no keys."""
    return caller.key is None or trace.owner == caller.name


def _missing(code: str, detail: str, hint: str) -> ApiProblem:
    return ApiProblem(status=404, code=code, detail=detail, hint=hint)


def _judged(service: Service, trace: KeptTrace, choice: int) -> Judged:
    answer = trace.answers[choice]
    if not isinstance(answer.get("text"), str):
        raise FeedbackError(
            f"choice {choice} of trace {trace.id!r} holds no answer: it failed, or was too long",
            hint="Judge one that was answered.",
        )
    skill = _skill(service, trace.model)
    asked = _asked(answer["trace"], skill)
    return Judged(
        trace=trace.id,
        choice=choice,
        model=trace.model,
        route=asked.route,
        skill=None if skill is None else skill.name,
        adapter=asked.adapter,
        question=asked.question,
        turns=asked.turns,
        answer=answer["text"],
    )


def _asked(trace: dict[str, Any], skill: Skill | None) -> Asked:
    if skill is None:
        return asked_in(trace, templates=[BARE])
    return asked_in(trace, templates=skill.templates.values(), labels=skill.labels)


def _skill(service: Service, model: str) -> Skill | None:
    """The skill behind a model's name; None behind the plain model.

    Raises:
        FeedbackError: it is gone, or cannot be read any more.
    """
    name = parse(model)
    if name is None:
        return None
    places = {place.name: place.folder for place in list_skills(service.live.home)}
    try:
        known = name.subject in places
        skill = name.subject if known else _skill_of_adapter(service, name.subject)
        return load_skill(places[skill])
    except (KeyError, SkillError, AdapterError) as exc:
        raise FeedbackError(
            f"the skill behind {model!r} is gone or cannot be read any more",
            hint="GET /v1/skills lists what there is.",
        ) from exc


def _skill_of_adapter(service: Service, subject: str) -> str:
    store = service.live.store
    return store.card(store.find(subject)).skill
