"""What all wire models share.

It does not know any of them.
"""

from pydantic import BaseModel, ConfigDict


class Wire(BaseModel):
    """What all wire models share: nothing unknown, nothing changed afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
