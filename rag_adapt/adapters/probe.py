"""What an adapter must compute: stored at training time, compared with what an engine computes.

It does not know engines. The figures come from transformers and PEFT's own forward pass.
"""

from collections.abc import Collection
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
PARITY_NOISE: Final = 4.0
"""How many times the run-to-run noise the distance to the adapter's reference may reach."""
PARITY_FLOOR: Final = 0.05
"""Nats per token that kernels and number formats may differ by where the noise is smaller."""
DECISIVE: Final = 2.25
"""How many times the distance that parity allows the two references must lie apart on prompts
that may decide alone."""
LEAST: Final = 8
"""Tokens that are compared at least, so that no single one decides."""
STEP: Final = 100
"""Tokens of prompts that a server computes in the time that one more token of all answers takes:
on a processor under adapters, where it computes those one after the other."""
OUTSIDE: Final = "general-"
"""How the names of prompts from outside every skill begin."""


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

    def cut(self, tokens: int) -> Self:
        """The same with no more than its first tokens."""
        changes = {
            "continuation_ids": self.continuation_ids[:tokens],
            "base": self.base[:tokens],
            "adapter": self.adapter[:tokens],
        }
        return self.model_copy(update=changes)


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
    def tokens(self) -> int:
        """Tokens that have figures."""
        return sum(len(prompt.continuation_ids) for prompt in self.prompts)

    @property
    def cost(self) -> int:
        """What an engine takes to give all figures, prompts together: in tokens of prompts."""
        longest = max((len(prompt.continuation_ids) for prompt in self.prompts), default=0)
        return sum(len(prompt.prompt_ids) for prompt in self.prompts) + STEP * longest

    @property
    def bound(self) -> float:
        """Nats per token by which equal weights may differ, whatever the adapter's effect."""
        return max(PARITY_NOISE * self.noise, PARITY_FLOOR)

    @property
    def allowed(self) -> float:
        """Nats per token to the adapter's reference: at most half of the way to the base's."""
        return min(self.bound, self.effect / 2)

    @property
    def decides(self) -> bool:
        """Whether base and adapter lie so far apart here that no other prompt need be asked."""
        return self.tokens >= LEAST and self.effect >= DECISIVE * self.bound

    def part(self, places: Collection[int], *, first: int = NEW_TOKENS) -> Self:
        """Some of the prompts alone, each with no more than its first tokens."""
        kept = [prompt for place, prompt in enumerate(self.prompts) if place in places]
        return self.model_copy(update={"prompts": tuple(prompt.cut(first) for prompt in kept)})

    @property
    def effect(self) -> float:
        """Mean absolute difference per token between base and adapter."""
        pairs = [
            abs(a - b)
            for prompt in self.prompts
            for a, b in zip(prompt.adapter, prompt.base, strict=True)
        ]
        return sum(pairs) / len(pairs) if pairs else 0.0


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
