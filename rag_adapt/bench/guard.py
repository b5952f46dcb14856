"""What an adapter damaged, measured against the base on the same small set of things.

It does not know how the adapter was trained. It asks the engine itself, never a cache, and of
other skills it sees dev items alone.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rag_adapt.bench.figures import GuardFigures
from rag_adapt.bench.general_text import ask, prompts, segments
from rag_adapt.bench.guard_halves import Reaction, halves_row, reactions
from rag_adapt.bench.guard_rows import bits_row, kl_row, score_row, text_row
from rag_adapt.bench.guard_state import Asked, greedy, off_figures, swap_figures
from rag_adapt.bench.held_out import Condition, Measurable, Reading, read, say
from rag_adapt.bench.plan import choose_items
from rag_adapt.core.protocols import Progress, Silent
from rag_adapt.core.types import Call, Sampling, TokenLogProbs
from rag_adapt.skills.skill import Skill

OTHERS: Final = 2
"""Other skills that are looked at, at most."""
OTHER_ITEMS: Final = 8
"""Dev items of each: fewer could not fail even an adapter that answers every one worse."""
ANSWERS: Final = 3
"""General questions that are answered greedily, one at a time."""
ANSWER_TOKENS: Final = 12
SAMPLE_TOKENS: Final = 24
STAGE: Final = "guard"
STEPS: Final = 5
"""That progress is told of."""


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """What the base says and how likely it finds the shipped text: serves any number of adapters.

    Best measured before any adapter is loaded.
    """

    answers: tuple[Asked, ...]
    """Greedy."""
    samples: tuple[Asked, ...]
    """Drawn at temperature 1, so that they follow the base's own distribution."""
    general: tuple[TokenLogProbs, ...]
    """One per shipped segment."""
    said: tuple[TokenLogProbs, ...]
    """One per sample."""
    halves: tuple[Reaction, ...]
    """To true and to false statements."""
    skills: tuple[tuple[Skill, Reading], ...]
    """Other skills, on the items that every adapter will be read on."""


async def measure_base(
    *,
    engine: Measurable,
    others: Sequence[Skill] = (),
    seed: int = 0,
    progress: Progress | None = None,
) -> Baseline:
    """Measure the base's half of every comparison.

    Args:
        engine: The engine behind the cache.
        others: Skills that adapters may have damaged; the first `OTHERS` with dev items are
            looked at, and a guard leaves out the adapter's own.
        seed: Of the sampled answers and the chosen items.
        progress: Stage `guard`.

    Raises:
        NoLogProbsError: the engine gives no log-probabilities.
    """
    shown = progress or Silent()
    shown.update(STAGE, 0, STEPS, "base: answers")
    samples = await _samples(engine, seed)
    answers = await greedy(prompts()[:ANSWERS], engine=engine, tokens=ANSWER_TOKENS)
    shown.update(STAGE, 1, STEPS, "base: general text")
    general = await _general(engine, None)
    said = await _said(samples, engine, None)
    shown.update(STAGE, 2, STEPS, "base: true and false statements")
    halves = await reactions(engine, None)
    shown.update(STAGE, 3, STEPS, "base: other skills")
    readings = []
    for skill in [skill for skill in others if skill.dev_items][: OTHERS + 1]:
        items = choose_items(skill.dev_items, OTHER_ITEMS, seed)
        under = Condition(template=skill.prompt)
        readings.append((skill, await read(skill, items, under, engine=engine, answers=True)))
    shown.update(STAGE, STEPS, STEPS)
    return Baseline(
        answers=answers,
        samples=samples,
        general=general,
        said=said,
        halves=halves,
        skills=tuple(readings),
    )


async def guard(
    version: str,
    *,
    engine: Measurable,
    base: Baseline,
    skill: str,
    rival: str | None = None,
    progress: Progress | None = None,
) -> tuple[GuardFigures, ...]:
    """Measure what an adapter changed outside of its own skill.

    Rows `off-identical`, `a-b-a`, `bits-per-byte`, `kl`, `accept-or-push-back`, and for each
    other skill two of `skill:<name>`: bits per answer token, and score.

    Args:
        version: An adapter that the engine has loaded.
        engine: The engine behind the cache.
        base: From `measure_base` on the same engine.
        skill: The adapter's own skill, which is left out.
        rival: Another loaded adapter, to stand between A and A; None is the base.
        progress: Stage `guard`.

    Raises:
        NoLogProbsError: the engine gives no log-probabilities.
        AdapterError: the adapter is not loaded.
    """
    shown = progress or Silent()
    shown.update(STAGE, 0, STEPS, f"{version}: A-B-A")
    swap = await swap_figures(version, rival, base.answers, engine=engine)
    shown.update(STAGE, 1, STEPS, f"{version}: general text")
    text = text_row(base.general, await _general(engine, version))
    kl = kl_row(base.said, await _said(base.samples, engine, version))
    shown.update(STAGE, 2, STEPS, f"{version}: true and false statements")
    halves = halves_row(base.halves, await reactions(engine, version))
    shown.update(STAGE, 3, STEPS, f"{version}: other skills")
    rows = []
    for other, before in [pair for pair in base.skills if pair[0].name != skill][:OTHERS]:
        under = Condition(template=other.prompt, adapter=version)
        after = await read(other, before.items, under, engine=engine, answers=True)
        rows += [bits_row(other.name, before, after), score_row(other.name, before, after)]
    shown.update(STAGE, 4, STEPS, f"{version}: off")
    off = await off_figures(version, base.answers, engine=engine, tokens=ANSWER_TOKENS)
    shown.update(STAGE, STEPS, STEPS)
    return (off, swap, text, kl, halves, *rows)


def complaint(figures: Sequence[GuardFigures]) -> str | None:
    """One line that names what failed with its figures; None where nothing did."""
    failed = [
        f"{row.name} {row.value:+.3g} {row.unit}" + ("" if row.low is None else _range(row))
        for row in figures
        if row.verdict == "failed" and row.value is not None
    ]
    return f"the guard failed: {'; '.join(failed)}" if failed else None


def _range(row: GuardFigures) -> str:
    return f" ({row.low:+.3g} to {row.high:+.3g})"


async def _samples(engine: Measurable, seed: int) -> tuple[Asked, ...]:
    async def sample(number: int, prompt: str) -> Asked:
        sampling = Sampling(max_tokens=SAMPLE_TOKENS, temperature=1.0, seed=seed + number)
        outcome = await say(engine, Call(messages=ask(prompt), sampling=sampling))
        return Asked(prompt=prompt, answer=outcome.text)

    wanted = (sample(number, prompt) for number, prompt in enumerate(prompts()))
    return tuple(await asyncio.gather(*wanted))


async def _general(engine: Measurable, adapter: str | None) -> tuple[TokenLogProbs, ...]:
    wanted = (engine.logprobs(part.messages, part.text, adapter) for part in segments())
    return tuple(await asyncio.gather(*wanted))


async def _said(
    samples: Sequence[Asked], engine: Measurable, adapter: str | None
) -> tuple[TokenLogProbs, ...]:
    wanted = (engine.logprobs(ask(one.prompt), one.answer, adapter) for one in samples)
    return tuple(await asyncio.gather(*wanted))
