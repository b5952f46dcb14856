"""Cheap probes of one skill on one model: what it shows at once, and what unlocks it.

It does not know how adapters are trained or documents searched; those are handed in. Only dev
items are read, and only training items are learned from.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from rag_adapt.adapters.plan import TrainPlan, plan_for
from rag_adapt.bench.features import Features
from rag_adapt.bench.held_out import Condition, Measurable, Reading, read
from rag_adapt.bench.plain_probes import majority_score, nearest_score, retrieval
from rag_adapt.bench.plan import choose_items
from rag_adapt.bench.reference import NearestPool
from rag_adapt.core.errors import ContextLengthError, NotProvenError, PlanError
from rag_adapt.core.protocols import Progress, Retriever, Silent
from rag_adapt.core.template import BARE
from rag_adapt.core.types import Example, Item
from rag_adapt.skills.skill import Skill, only_training

DEV_ITEMS: Final = 16
SHOTS: Final = (1, 4, 16)
DOSES: Final = (1, 10, 50)
"""Examples of the three adapters; each is trained on the first of the same order."""
FEW: Final = 10
PASSES: Final = 3
"""Over up to `FEW` examples; over more, one."""
ANSWERING: Final = frozenset({"bare", "prompt", "shots_16", "lora_10", "lora_50"})
"""Conditions under which answers are generated and scored as well."""
TOP_K: Final = 4
"""Passages that are retrieved for the hit rate."""
STAGE: Final = "probes"
STEPS: Final = 2 + len(SHOTS) + len(DOSES)


@dataclass(frozen=True, kw_only=True)
class ProbeTools:
    """The live things that probes work with."""

    engine: Measurable
    """The engine itself, or the cache in front of it."""
    runner: asyncio.Runner
    train: Callable[[Sequence[Item]], str]
    """Trains on these items, in order, and says the version; blocks. See `probe_plan`."""
    load: Callable[[str], Coroutine[Any, Any, object]]
    """Makes a version resident: `Adapters.ensure_loaded`."""
    count_tokens: Callable[[str], int]
    """Of the model's tokenizer."""
    nearest: NearestPool | None = None
    """Over training examples alone."""
    retriever: Retriever | None = None
    documents: int | None = None
    """How many the retriever searches."""


def probe_plan(skill: Skill, items: Sequence[Item], *, seed: int = 0) -> TrainPlan:
    """How a probe's adapter is trained: one example per step, under a name of its own.

    Few examples are passed over `PASSES` times, so that their code length says what they bring
    and not that the optimizer has hardly started: after one pass over ten, a planted skill still
    answered as if locked; after three it was back (docs/readout.md).

    Raises:
        AdapterError: a test item was handed in.
    """
    plan = plan_for(
        skill,
        items,
        name=f"probe-{skill.name}"[:48].rstrip("-"),
        epochs=PASSES if len(items) <= FEW else 1,
        batch_size=1,
        seed=seed,
    )
    return replace(plan, dev=())  # the probes read dev items themselves


def probe(
    skill: Skill,
    learn: Sequence[Item],
    tools: ProbeTools,
    *,
    doses: Sequence[int] = DOSES,
    seed: int = 0,
    progress: Progress | None = None,
) -> Features:
    """Measure one skill on up to 16 dev items.

    Shots are fixed, not the nearest: the first k of the order whose first 1, 10 and 50 items train
    the adapters, so that both channels are given nested subsets of one list: those of the dose
    curve (`bench.doses`), for a benchmark hands both the same order. The best template is chosen by
    code length on the dev items that it is then read on.

    Args:
        skill: It needs dev items.
        learn: Training items that routes may learn from, in the order of their choice; see
            `bench.plan.choose_examples`.
        tools: What to work with.
        doses: Of `DOSES`, the adapters to train: most of the time goes there. Without ten and
            fifty there is no read-out.
        seed: Of the choice of dev items.
        progress: Stage `probes`.

    Raises:
        PlanError: the skill has no dev items, or there is nothing to learn from.
        SkillError: an item to learn from is no training item.
        NoLogProbsError: the engine gives no log-probabilities.
    """
    if not skill.dev_items or not learn:
        raise PlanError(
            f"skill {skill.name!r} cannot be probed: {len(skill.dev_items)} dev items, "
            f"{len(learn)} training items",
            hint="It needs at least one of each: `rag-adapt skills check NAME`.",
        )
    started = time.perf_counter()
    work = _Probe(
        skill=skill,
        items=choose_items(skill.dev_items, DEV_ITEMS, seed),
        order=tuple(only_training(learn, purpose="a probe")),
        tools=tools,
        shown=progress or Silent(),
    )
    work.prompts()
    work.shots()
    work.doses(doses)
    work.references()
    return Features(
        skill=skill.name,
        dev_items=len(work.items),
        dev_clusters=len({item.cluster for item in work.items}),
        train_items=len(skill.training_items),
        labels=len(skill.labels),
        documents=tools.documents,
        input_tokens=_mean([tools.count_tokens(item.input) for item in work.items]),
        target_tokens=_mean([tools.count_tokens(item.targets[0]) for item in work.items]),
        seconds=time.perf_counter() - started,
        **work.found,
    )


@dataclass(kw_only=True)
class _Probe:
    """One skill's probes, and what they found so far."""

    skill: Skill
    items: tuple[Item, ...]
    order: tuple[Item, ...]
    tools: ProbeTools
    shown: Progress
    found: dict[str, Any] = field(default_factory=dict)
    done: int = 0

    def prompts(self) -> None:
        """The input alone, and the best of the templates without passages."""
        self._keep("bare", Condition(template=BARE))
        templates = {n: t for n, t in self.skill.templates.items() if not t.wants_context}
        bits = {
            name: self._read(Condition(template=template), answers=False).bits_per_token
            for name, template in templates.items()
            if len(templates) > 1
        }
        best = min(bits, key=bits.__getitem__, default="prompt")
        self.found["best_template"] = best
        self._keep("prompt", Condition(template=self.skill.templates[best]))

    def shots(self) -> None:
        """Fixed examples as chat turns under the best template."""
        template = self.skill.templates[self.found["best_template"]]
        for count in SHOTS:
            if len(self.order) < count:
                continue
            examples = tuple(
                Example(input=item.input, output=item.targets[0]) for item in self.order[:count]
            )
            self._keep(f"shots_{count}", Condition(template=template, examples=examples))

    def doses(self, counts: Sequence[int]) -> None:
        """Adapters trained on nested subsets, read under the template that trained them."""
        for count in counts:
            if len(self.order) < count:
                continue
            self._say(f"training on {count}")
            version = self.tools.train(self.order[:count])
            self.tools.runner.run(self.tools.load(version))
            self._keep(f"lora_{count}", Condition(template=self.skill.prompt, adapter=version))

    def references(self) -> None:
        """What needs no language model."""
        examples = [Example(input=item.input, output=item.targets[0]) for item in self.order]
        self.found["score_majority"] = majority_score(self.skill, self.items, examples)
        if self.tools.nearest is not None:
            asked = nearest_score(self.skill, self.items, self.tools.nearest)
            self.found["score_nearest"] = self.tools.runner.run(asked)
        if self.tools.retriever is not None:
            searched = self.tools.runner.run(retrieval(self.items, self.tools.retriever, TOP_K))
            self.found["retrieval_hit"] = searched.hit
            self.found["retrieval_recall"] = searched.recall
        self.done = STEPS
        self._say("probed")

    def _keep(self, name: str, under: Condition) -> None:
        """Read under a condition; what does not fit into the context, or is by an adapter that
        one example changed too little to be seen at work, stays null."""
        self._say(name.replace("_", " "))
        self.done += 1
        try:
            reading = self._read(under, answers=name in ANSWERING)
        except (ContextLengthError, NotProvenError):
            return
        self.found[f"bits_{name}"] = reading.bits_per_token
        if name in ANSWERING:
            self.found[f"score_{name}"] = reading.score

    def _read(self, under: Condition, *, answers: bool) -> Reading:
        asked = read(self.skill, self.items, under, engine=self.tools.engine, answers=answers)
        return self.tools.runner.run(asked)

    def _say(self, note: str) -> None:
        self.shown.update(STAGE, self.done, STEPS, f"{self.skill.name}: {note}")


def _mean(values: Sequence[int]) -> float:
    return sum(values) / len(values)
