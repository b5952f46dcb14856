"""The dose curve's arms: every channel with the first 1, 10, 50 ... of the same examples.

It does not know what the answers are worth; arms are named `few-shot@10`. All channels and sizes
take the beginning of one order, the run's own, so that smaller doses are parts of larger ones.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, get_args

from rag_adapt.bench.adapting import Lessons
from rag_adapt.bench.arms import SHOTS, Parts, Setup, lora_route, prompt_route
from rag_adapt.bench.dose_figures import Channel
from rag_adapt.bench.figures import AdapterFigures
from rag_adapt.bench.plan import Plan
from rag_adapt.bench.runner import Contender
from rag_adapt.bench.training import Training
from rag_adapt.core.errors import PlanError, RagAdaptError
from rag_adapt.core.types import Item
from rag_adapt.skills.skill import Skill

Teacher = Callable[[Training], AdapterFigures]
CHANNELS: Final[tuple[Channel, ...]] = get_args(Channel)


@dataclass(frozen=True, kw_only=True)
class Dose:
    """One channel after so many examples."""

    channel: Channel
    examples: int

    @property
    def arm(self) -> str:
        """Its name in a run's record."""
        return f"{self.channel}@{self.examples}"


@dataclass(kw_only=True)
class Dosed:
    """The curve's arms of one skill, ready to be asked."""

    contenders: list[Contender] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)
    """By arm: why it is not measured."""
    adapters: dict[str, tuple[AdapterFigures, ...]] = field(default_factory=dict)
    """By arm: one per training seed."""


def doses(sizes: Sequence[int]) -> tuple[Dose, ...]:
    """Every channel at every size, channel by channel."""
    return tuple(Dose(channel=channel, examples=n) for channel in CHANNELS for n in sizes)


def is_dose(arm: str) -> bool:
    """Whether an arm of a record belongs to the curve: no other arm's name holds an `@`."""
    return "@" in arm


def parse_doses(text: str) -> tuple[int, ...]:
    """Sizes written `1,10,50`, ascending and once each.

    Raises:
        PlanError: one is no whole number, or below one.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if wrong := [part for part in parts if not (part.isascii() and part.isdigit() and int(part))]:
        raise PlanError(
            f"doses {', '.join(map(repr, wrong))} are no numbers of examples",
            hint="Use --doses with whole numbers from 1 on: --doses 1,10,50",
        )
    return tuple(sorted({int(part) for part in parts}))


def prepare_doses(
    skill: Skill,
    plan: Plan,
    *,
    parts: Parts,
    learn: Sequence[Item],
    lessons: Lessons,
    teacher: Teacher,
) -> Dosed:
    """Build the curve's arms; trains and proves an adapter for each size and training seed.

    Adapters have a name of their own, so that none becomes the skill's current one.

    Args:
        skill: Its own template renders every channel.
        plan: Names sizes and seeds; adapters are trained by its rate, rank and epochs.
        parts: Of the other arms.
        learn: What routes may learn from, in the run's order.
        lessons: Of the other arms: the adapter that learned all examples is also their dose.
        teacher: Trains and proves an adapter.
    """
    made = Dosed()
    for size in plan.doses:
        if size > len(learn):
            why = f"left out: there are {len(learn)} training examples"
            made.reasons |= {dose.arm: why for dose in doses([size])}
            continue
        given = replace(parts, pool=parts.pool[:size], nearest=parts.nearest.first(size))
        made.contenders += _shown(size, given)
        arm = Dose(channel="lora", examples=size).arm
        try:
            made.adapters[arm] = _taught(skill, plan, learn, size, lessons, teacher)
        except RagAdaptError as error:
            made.reasons[arm] = f"not measured: {error.fact}"
            continue
        made.contenders += _answering(arm, given, made.adapters[arm])
    return made


def _shown(size: int, parts: Parts) -> list[Contender]:
    """The two channels that show examples: all of them, or the nearest of them."""
    setups: dict[Channel, Setup] = {
        "few-shot": Setup(template=parts.prompt, shots=size, pick="fixed"),
        "few-shot-nearest": Setup(template=parts.prompt, shots=min(SHOTS, size)),
    }
    named = {Dose(channel=c, examples=size).arm: setup for c, setup in setups.items()}
    return [Contender(arm=arm, route=prompt_route(arm, parts, s)) for arm, s in named.items()]


def _taught(
    skill: Skill,
    plan: Plan,
    learn: Sequence[Item],
    size: int,
    lessons: Lessons,
    teacher: Teacher,
) -> tuple[AdapterFigures, ...]:
    """One adapter for each training seed; those of the arm `lora` where they saw the same."""
    if size == len(learn) and plan.learn_from == "examples" and "plain" in lessons.versions:
        return tuple(one for one in lessons.figures if not one.with_context)
    name = f"dose-{skill.name}"[:48].rstrip("-")
    items = tuple(learn[:size])
    return tuple(
        teacher(Training(skill=skill, items=items, plan=plan, seed=seed, name=name))
        for seed in plan.training_seeds
    )


def _answering(arm: str, parts: Parts, found: Sequence[AdapterFigures]) -> list[Contender]:
    made = []
    for one in found:
        taught = replace(parts, lessons={"plain": one.version})
        made.append(Contender(arm=arm, route=lora_route(arm, taught), train_seed=one.seed))
    return made
