"""What an adapter must compute: stored at training time, compared with what an engine computes.

It does not know engines. The figures come from transformers and PEFT's own forward pass.
"""

from pathlib import Path
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from rag_adapt.core.errors import AdapterError

PROBE_FILE: Final = "probe.json"
PROMPTS: Final = 4
"""Prompts of the skill that a probe holds, at most."""
LONG_PROMPTS: Final = 2
"""The same where prompts carry passages: each costs several times as much."""
NEW_TOKENS: Final = 16
"""Tokens of each continuation, at most."""


class ProbePrompt(BaseModel):
    """One prompt with its continuation and two references."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    item: str
    """Id of the item that was asked, or `general-N`."""
    prompt_ids: tuple[int, ...]
    continuation_ids: tuple[int, ...]
    """Greedy under the adapter."""
    base: tuple[float, ...]
    """Log-probability of each continuation token under the base model, natural logarithm."""
    adapter: tuple[float, ...]
    """The same under the adapter."""

    @model_validator(mode="after")
    def _same_length(self) -> Self:
        lengths = {len(self.continuation_ids), len(self.base), len(self.adapter)}
        if len(lengths) != 1 or 0 in lengths:
            raise ValueError("continuation and references must have one length, above 0")
        return self


class Probe(BaseModel):
    """The references of one adapter."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    weights_hash: str
    """Of the base model that computed them."""
    chat_template_hash: str
    dtype: str
    noise: float
    """Mean absolute difference per token between two computations of the adapter's figures,
    in different batch compositions: what differs when nothing differs."""
    prompts: tuple[ProbePrompt, ...]

    @property
    def effect(self) -> float:
        """Mean absolute difference per token between base and adapter."""
        pairs = [
            abs(a - b)
            for prompt in self.prompts
            for a, b in zip(prompt.adapter, prompt.base, strict=True)
        ]
        return sum(pairs) / len(pairs)


def read_probe(file: Path) -> Probe:
    """Read a stored probe.

    Raises:
        AdapterError: absent, or not a probe.
    """
    try:
        return Probe.model_validate_json(file.read_bytes())
    except (FileNotFoundError, ValidationError) as exc:
        raise AdapterError(
            f"adapter {file.parent.name!r} has no readable {file.name}: {exc}",
            hint="It cannot be proven without one: train it again with "
            "`rag-adapt adapters train SKILL`.",
        ) from exc
