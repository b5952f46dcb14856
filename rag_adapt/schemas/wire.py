"""What all wire models share.

It does not know any of them.
"""

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, model_validator

MOST_UNKNOWN: Final = 16
"""Members beyond a model's own that are looked at one by one; more are refused at once."""


class Wire(BaseModel):
    """What all wire models share: nothing unknown, nothing changed afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _bounded(cls, sent: Any) -> Any:
        """Each unknown member is an error of its own: a body full of them is one instead."""
        if isinstance(sent, dict) and len(sent) > len(cls.model_fields) + MOST_UNKNOWN:
            known = len(cls.model_fields)
            raise ValueError(f"has {len(sent)} members; {known} are known")
        return sent
