"""`/v1/skills/{name}/templates/{template}` and `/v1/templates:render`: read, tried out, stored.

It does not know where a skill's templates lie.
"""

import asyncio
from pathlib import Path as Folder
from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Path, Request

from rag_adapt.adapters.store import AdapterStore
from rag_adapt.api.desk import BENCH, CHAT, desk_of, shown
from rag_adapt.api.problems import ApiProblem
from rag_adapt.api.skills import Name, place_of
from rag_adapt.core.template import Template
from rag_adapt.core.types import Draft, Example, Passage
from rag_adapt.schemas.skills import (
    TEMPLATE_NAME,
    Rendered,
    RenderedMessage,
    RenderRequest,
    TemplateOrder,
    TemplateStored,
    TemplateText,
)
from rag_adapt.skills.editing import store_template
from rag_adapt.skills.faults import skill_error
from rag_adapt.skills.load import SkillPlace, read_skill
from rag_adapt.skills.skill import Skill

router = APIRouter(tags=["skills"])
HASH: Final = "0f5b7e9c2d11"
TEXT: Final[dict[str, Any]] = {
    "skill": "my-verbs",
    "template": "prompt",
    "system": "Give the simple past.",
    "user": "{input}",
    "hash": HASH,
    "shows_passages": False,
    "editable": True,
}
ORDER: Final[dict[str, Any]] = {
    "system": "Give the simple past of the verb, one word.",
    "user": "{input}",
    "replaces": HASH,
}
STORED: Final[dict[str, Any]] = {
    "skill": "my-verbs",
    "template": "prompt",
    "hash": "51c2a0d7b9e4",
    "data_hash": "2f0c1d9b7a55",
    "data_hash_before": "9b0d5f1c7e21",
    "adapters": ["my-verbs@e8275acfcb4e"],
}
RENDER: Final[dict[str, Any]] = {
    "skill": "past-tense",
    "input": "walk",
    "examples": [{"input": "go", "output": "went"}],
}
TRIED: Final[dict[str, Any]] = {
    "skill": "past-tense",
    "draft": {"system": "One word.", "user": "The past of {input}?"},
    "input": "walk",
}
RENDERED: Final[dict[str, Any]] = {
    "skill": "past-tense",
    "template": "prompt",
    "hash": HASH,
    "messages": [
        {"role": "system", "content": "Give the simple past."},
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": "went"},
        {"role": "user", "content": "walk"},
    ],
}
TemplateName = Annotated[str, Path(pattern=TEMPLATE_NAME, examples=["prompt"])]


@router.get(
    "/v1/skills/{name}/templates/{template}",
    summary="Read a template",
    operation_id="template",
    response_model=TemplateText,
    responses=shown(TEXT, 404),
    openapi_extra=CHAT,
)
async def template(request: Request, name: Name, template: TemplateName) -> TemplateText:
    """Both messages with their placeholders: `{input}`, `{context}`, `{labels}`."""

    def read() -> TemplateText:
        place = place_of(name, desk_of(request).home)
        found = _named(_skill(place), template)
        return TemplateText(
            skill=name,
            template=template,
            system=found.system,
            user=found.user,
            hash=found.hash,
            shows_passages=found.wants_context,
            editable=place.origin == "imported",
        )

    return await asyncio.to_thread(read)


@router.put(
    "/v1/skills/{name}/templates/{template}",
    summary="Store a template",
    operation_id="store_template",
    response_model=TemplateStored,
    responses=shown(STORED, 404, 409, 413, 415, 507),
    openapi_extra=BENCH,
)
async def store(
    request: Request,
    name: Name,
    template: TemplateName,
    body: Annotated[
        TemplateOrder,
        Body(openapi_examples={"shorter": {"summary": "Another wording", "value": ORDER}}),
    ],
) -> TemplateStored:
    """Change a template of an imported skill, or add one, if the skill is sound with it.

    The skill's hash changes: finished runs say nothing of it any more, and adapters that were
    trained with the old text are refused until they are trained again. Refused where the template
    is not the one that was looked at (`replaces`), and for bundled skills.
    """
    return await asyncio.to_thread(_stored, desk_of(request).home, name, template, body)


@router.post(
    "/v1/templates:render",
    summary="Render a template",
    operation_id="render",
    response_model=Rendered,
    responses=shown(RENDERED, 404, 413, 415),
    openapi_extra=CHAT,
)
async def render(
    request: Request,
    body: Annotated[
        RenderRequest,
        Body(
            openapi_examples={
                "shot": {"summary": "With an example", "value": RENDER},
                "draft": {"summary": "A text that is not stored", "value": TRIED},
            }
        ),
    ],
) -> Rendered:
    """The messages that a route would send for this input, these examples and passages."""
    return await asyncio.to_thread(_rendered, body, desk_of(request).home)


def _stored(home: Folder, name: str, template: str, order: TemplateOrder) -> TemplateStored:
    place = place_of(name, home)
    _check_ours(place)
    made = Template(system=_lines(order.system), user=_lines(order.user), name=template)
    stored = store_template(place.folder, made, replaces=order.replaces)
    outdated = [
        card.version
        for card in AdapterStore(home).list()
        if card.skill == name and card.template_hash == order.replaces != made.hash
    ]
    return TemplateStored(
        skill=name,
        template=template,
        hash=made.hash,
        data_hash=stored.skill.data_hash,
        data_hash_before=stored.before,
        adapters=outdated,
    )


def _lines(text: str) -> str:
    """Lines as files have them: browsers send `\\r\\n`."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _check_ours(place: SkillPlace) -> None:
    """Stop where everybody's skill would be changed.

    Raises:
        ApiProblem: it is bundled.
    """
    if place.origin == "bundled":
        raise ApiProblem(
            status=409,
            code="skill-bundled",
            detail=f"skill {place.name!r} is bundled, and bundled skills stay as they are: the "
            "same name shall mean the same task everywhere",
            hint="Import your examples as a skill of your own (POST /v1/skills:import, or "
            "`rag-adapt skills import FILE --name NAME`) and change that one.",
        )


def _rendered(order: RenderRequest, home: Folder) -> Rendered:
    found = _skill(place_of(order.skill, home))
    template = _template(found, order)
    draft = Draft(
        item_id="rendered",
        input=order.input,
        labels=found.labels,
        passages=tuple(
            Passage(document=f"passage {number}", start=0, end=len(text), text=text)
            for number, text in enumerate(order.passages, start=1)
        ),
        examples=tuple(Example(input=e.input, output=e.output) for e in order.examples),
    )
    messages = [RenderedMessage(role=m.role, content=m.content) for m in template.render(draft)]
    return Rendered(
        skill=found.name, template=order.template, hash=template.hash, messages=messages
    )


def _template(skill: Skill, order: RenderRequest) -> Template:
    """The template that is named, or the text that stands for it.

    Raises:
        ApiProblem: the skill has none of that name, or it shows no passages and some were sent.
        TemplateError: the text is no template.
    """
    draft = order.draft
    if draft is None:
        template = _named(skill, order.template)
    else:
        template = Template(
            system=_lines(draft.system), user=_lines(draft.user), name=order.template
        )
    if order.passages and not template.wants_context:
        raise ApiProblem(
            status=400,
            code="template",
            detail=f"template {order.template!r} of skill {skill.name!r} shows no passages",
            hint="Leave `passages` out, or name a template that holds {context}.",
        )
    return template


def _skill(place: SkillPlace) -> Skill:
    """The skill of a place.

    Raises:
        SkillError: it is faulty; files are named as its owner knows them.
    """
    reading = read_skill(place.folder)
    if reading.skill is None:
        hint = f"Correct these files; GET /v1/skills/{place.name}/check names every fault."
        raise skill_error(f"skill {place.name!r}", reading.faults, hint=hint)
    return reading.skill


def _named(skill: Skill, name: str) -> Template:
    """One of the skill's templates.

    Raises:
        ApiProblem: it has none of that name.
    """
    found = skill.templates.get(name)
    if found is None:
        raise ApiProblem(
            status=404,
            code="template-not-found",
            detail=f"skill {skill.name!r} has no template {name!r}",
            hint=f"It has: {', '.join(skill.templates)}.",
        )
    return found
