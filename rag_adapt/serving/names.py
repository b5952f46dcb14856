"""What a client may write as `model`: `route:<route>/<skill>`, or the plain engine model.

It does not know which skills or adapters there are.
"""

from dataclasses import dataclass
from typing import Final

from rag_adapt.core.errors import ModelNotFoundError

PREFIX: Final = "route:"
AUTO: Final = "auto"
ROUTES: Final = ("prompt", "rag", "lora", "rag+lora", AUTO)
SHOWN: Final = 80
"""Characters of a client's text that an error repeats."""
LIST: Final = "`GET /v1/models` lists what there is."


@dataclass(frozen=True, kw_only=True)
class RouteName:
    """A route of one skill, or of one adapter of it."""

    route: str
    """One of `ROUTES`."""
    subject: str
    """A skill's name; for routes with an adapter also an adapter's name or version."""

    def __str__(self) -> str:
        return f"{PREFIX}{self.route}/{self.subject}"


def parse(model: str) -> RouteName | None:
    """The route that a name means; None where it does not begin with `route:`.

    Raises:
        ModelNotFoundError: it begins so and names no route.
    """
    if not model.startswith(PREFIX):
        return None
    route, slash, subject = model.removeprefix(PREFIX).partition("/")
    if route not in ROUTES or not slash or not subject:
        routes = ", ".join(f"{PREFIX}{name}/SKILL" for name in ROUTES)
        raise ModelNotFoundError(
            f"{shown(model)!r} names no route", hint=f"Write one of {routes}. {LIST}"
        )
    return RouteName(route=route, subject=subject)


def shown(text: str) -> str:
    """A client's text, cut so that an error stays readable."""
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
