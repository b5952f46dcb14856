"""Parts that requests for long work have in common.

It does not know what is asked for.
"""

from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints

from rag_adapt.schemas.wire import Wire

SkillName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{2,47}$"), Field(examples=["orders"])
]
"""The name of a skill, never a path; `GET /v1/skills` lists them."""
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]


class Order(Wire):
    """A request whose values become arguments of a command: each is what it says, unconverted."""

    model_config = ConfigDict(strict=True)
