"""Which models a conversation asks, checked when it begins.

It does not know conversations.
"""

from collections.abc import Sequence
from typing import Final

from rag_adapt.bench.arms import ARMS
from rag_adapt.core.errors import ModelNotFoundError
from rag_adapt.serving.names import AUTO, LIST, RouteName, parse, shown
from rag_adapt.serving.service import Service

PROMPT: Final = "prompt"


async def models_of(
    service: Service, models: Sequence[str] | None, skill: str | None
) -> tuple[str, ...]:
    """The models that were named; or of a skill its recommended route, else its prompt.

    Whether a route can answer now is found out when it is asked.

    Raises:
        ModelNotFoundError: there is no such skill, route or model.
    """
    skills = {entry.place.name for entry in await service.skills()}
    if skill is not None:
        _check_skill(skill, skills)
    if models is not None:
        for model in models:
            _check(model, skills, service.catalogue.plain_name)
        return tuple(models)
    best = str(RouteName(route=AUTO, subject=skill or ""))
    if best in await service.models():
        return (best,)
    return (str(RouteName(route=PROMPT, subject=skill or "")),)


def _check(model: str, skills: set[str], plain: str) -> None:
    name = parse(model)
    if name is None:
        if model != plain:
            raise ModelNotFoundError(
                f"there is no model {shown(model)!r}; the engine's is {plain!r}",
                hint=f"Name that one, or a route: `route:prompt/SKILL`. {LIST}",
            )
    elif name.route == AUTO or ARMS[name.route].adapter is None:  # others may name an adapter
        _check_skill(name.subject, skills)


def _check_skill(skill: str, skills: set[str]) -> None:
    if skill not in skills:
        raise ModelNotFoundError(
            f"there is no skill {shown(skill)!r}", hint="`GET /v1/skills` lists them."
        )
