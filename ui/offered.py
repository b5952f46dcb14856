"""Which routes each skill can be asked by, read from the names that the service lists.

It does not know what a route does.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from rag_adapt.schemas.catalog import Model

PREFIX: Final = "route:"
ROUTES: Final[Mapping[str, str]] = {
    "prompt": "the model with the skill's prompt, nothing else",
    "rag": "with passages of the skill's documents in the prompt",
    "lora": "with an adapter: weights that were trained on the skill's examples",
    "rag+lora": "with passages, and an adapter that was trained to read them",
    "auto": "the route that the skill's latest benchmark recommends",
}
"""What a route does, for who meets it first."""
OTHER: Final = "another setup that a benchmark measured"
LATER: Final[Mapping[str, str]] = {
    "rag": "needs documents: the skill has none",
    "lora": "appears once an adapter is trained",
    "rag+lora": "appears once an adapter is trained with passages",
    "auto": "appears once a benchmark is finished, and asks what it recommends",
}
"""Why a route is not offered, as far as names tell."""


def by_skill(models: Iterable[Model]) -> dict[str, tuple[str, ...]]:
    """Routes of each skill, both in the service's order.

    >>> by_skill([Model(id="base"), Model(id="route:prompt/verbs"), Model(id="route:rag/verbs")])
    {'verbs': ('prompt', 'rag')}
    """
    found: dict[str, tuple[str, ...]] = {}
    for model in models:
        route, slash, skill = model.id.removeprefix(PREFIX).partition("/")
        if model.id.startswith(PREFIX) and slash:
            found[skill] = (*found.get(skill, ()), route)
    return found


def route_name(model: str) -> str:
    """What a column is called: the route without its skill, or the model as it is.

    >>> route_name("route:rag+lora/verbs")
    'rag+lora'
    """
    route, slash, _ = model.removeprefix(PREFIX).partition("/")
    return route if model.startswith(PREFIX) and slash else model


def model_name(route: str, skill: str) -> str:
    """The inverse: what stands in `model`."""
    return f"{PREFIX}{route}/{skill}"
