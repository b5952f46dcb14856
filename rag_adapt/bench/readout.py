"""Says whether a skill looks known, latent or absent in the base model, with the figures behind it.

It does not know models: it reads a row of probes. Thresholds are fixed on planted skills
(docs/readout.md) and on nothing else.

    known      the best prompt shows it
    latent     no prompt shows it, few examples of other items do
    absent     few examples of it bring nothing, and fifty have not yet taught it
    undecided  anything between, or a figure is missing
"""

from dataclasses import dataclass
from typing import Final

from rag_adapt.bench.features import Features
from rag_adapt.bench.figures import Depth, ReadOut

SHOWN: Final = 0.7
"""Score above chance from which the best prompt shows the skill."""
HIDDEN: Final = 0.3
"""Score above chance below which it does not."""
UNLOCKED: Final = 0.3
"""Score that few examples must add on held-out items: the transfer of a latent skill."""
SHARE: Final = 0.85
"""Of the code length that fifty examples save, what few must save in a latent skill."""
STILL: Final = 0.15
"""Score above chance up to which few examples brought nothing."""
SLOW: Final = 0.5
"""Score above chance up to which fifty examples have not yet taught an absent skill."""
LEARNED: Final = 0.5
"""Bits per answer token below which answers are as good as learned."""
NEEDED: Final = (
    "score_prompt",
    "score_lora_10",
    "score_lora_50",
    "bits_lora_10",
    "bits_lora_50",
)


@dataclass(frozen=True, kw_only=True)
class _Signs:
    """What the rule looks at; scores are above chance: 0 is guessing, 1 is perfect."""

    prompt: float
    few: float
    """The better of sixteen shots and ten trained examples."""
    channel: str
    """Which of the two, in words."""
    fifty: float
    """After fifty trained examples."""
    bits_prompt: float
    bits_few: float
    """The shortest with one, four or sixteen shots or ten trained examples."""
    bits_fifty: float

    @property
    def share(self) -> float | None:
        """Saved by few over saved by fifty; null where fifty saved nothing."""
        most = self.bits_prompt - min(self.bits_fifty, self.bits_few)
        return (self.bits_prompt - self.bits_few) / most if most > 0 else None


def read_out(features: Features) -> ReadOut:
    """Classify a skill from its probes."""
    missing = [name for name in NEEDED if getattr(features, name) is None]
    if missing:
        why = f"not measured: {', '.join(missing)}"
        return ReadOut(
            skill=features.skill, depth="undecided", sentence=why, figures=_figures(features, None)
        )
    signs = _signs(features)
    depth = _depth(signs)
    return ReadOut(
        skill=features.skill,
        depth=depth,
        sentence=_sentence(depth, signs, features),
        figures=_figures(features, signs),
    )


def _depth(signs: _Signs) -> Depth:
    if signs.prompt >= SHOWN:
        return "known"
    if signs.prompt >= HIDDEN:
        return "undecided"
    share = signs.share
    if signs.few - signs.prompt >= UNLOCKED:
        return "latent" if share is not None and share >= SHARE else "undecided"
    nothing = signs.few <= STILL and signs.bits_few > LEARNED
    return "absent" if nothing and signs.fifty <= SLOW else "undecided"


def _signs(features: Features) -> _Signs:
    chance = features.score_majority or 0.0
    tried = {
        "sixteen shots": features.score_shots_16,
        "ten trained examples": features.score_lora_10,
    }
    scores = {name: score for name, score in tried.items() if score is not None}
    channel = max(scores, key=scores.__getitem__)
    shots = (features.bits_shots_1, features.bits_shots_4, features.bits_shots_16)
    return _Signs(
        prompt=above(features.score_prompt or 0.0, chance),
        few=above(scores[channel], chance),
        channel=channel,
        fifty=above(features.score_lora_50 or 0.0, chance),
        bits_prompt=features.bits_prompt,
        bits_few=min(bits for bits in (*shots, features.bits_lora_10) if bits is not None),
        bits_fifty=features.bits_lora_50 or 0.0,
    )


def above(score: float, chance: float) -> float:
    """A score on the scale on which guessing is 0 and perfect is 1; never below 0."""
    return max(0.0, (score - chance) / (1.0 - chance)) if chance < 1.0 else 0.0


def _sentence(depth: Depth, signs: _Signs, features: Features) -> str:
    return (
        f"{features.skill} looks {depth}: on {features.dev_items} dev items the best prompt scores "
        f"{features.score_prompt:.2f}; {signs.channel} bring {signs.few:.2f} above chance, fifty "
        f"{signs.fifty:.2f}; "
        f"an answer token takes {signs.bits_prompt:.2f} bits by prompt, {signs.bits_few:.2f} with "
        f"few examples, {signs.bits_fifty:.2f} after fifty."
    )


def _figures(features: Features, signs: _Signs | None) -> dict[str, float | None]:
    found: dict[str, float | None] = {
        name: value
        for name, value in features.as_json().items()
        if name.startswith(("bits_", "score_"))
    }
    if signs is not None:
        found |= {
            "above_chance_prompt": signs.prompt,
            "above_chance_few": signs.few,
            "above_chance_fifty": signs.fifty,
            "share_of_saving": signs.share,
        }
    return found
