"""The arms a benchmark knows: a visible table from a name to how its route is built.

It does not know how collections are searched or adapters trained; it is handed the prepared parts.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from rag_adapt.bench.reference import NearestPool
from rag_adapt.core.errors import PlanError
from rag_adapt.core.protocols import Adapters, Retriever, Step
from rag_adapt.core.template import BARE, Template
from rag_adapt.core.types import Example, Passage, content_hash
from rag_adapt.routes.adapt import Adapt
from rag_adapt.routes.demonstrate import Demonstrate
from rag_adapt.routes.retrieve import Oracle, Placebo, Retrieve, WholeCorpus
from rag_adapt.routes.route import Route

SHOTS: Final = 4
Pick = Literal["fixed", "nearest", "chosen"]
Lesson = Literal["plain", "context"]
"""What an adapter was trained on: prompts alone, or prompts with retrieved passages."""


@dataclass(frozen=True, kw_only=True)
class Setup:
    """How a route asks: chosen on dev, or the default."""

    template: Template
    shots: int = 0
    pick: Pick = "nearest"
    """Which training examples are shown."""
    shown: tuple[Example, ...] = ()
    """The examples themselves, where they were `chosen`."""
    k: int | None = None
    """Passages, for routes that retrieve; None is the collection's own number."""

    @property
    def name(self) -> str:
        """As reports print it: `prompt-2, 4 nearest examples`."""
        which = (
            f" {content_hash([[e.input, e.output] for e in self.shown], 4)}" if self.shown else ""
        )
        shots = f", {self.shots} {self.pick} examples{which}" if self.shots else ""
        passages = "" if self.k is None else f", {self.k} passages"
        return f"{self.template.name}{passages}{shots}"


@dataclass(frozen=True, kw_only=True)
class Search:
    """A collection ready to be asked."""

    collection: str
    """`name@hash` of its content."""
    mode: str
    k: int
    retriever: Retriever
    documents: tuple[Passage, ...] = ()
    """Whole documents, for the arm `whole-corpus`."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What one skill's routes are built from; None where a part is not to be had."""

    prompt: Template
    context: Template | None
    pool: tuple[Example, ...]
    nearest: NearestPool
    adapters: Adapters
    search: Search | None
    lessons: Mapping[Lesson, str]
    """The adapter's version for each way of training that worked."""
    other_inputs: Mapping[str, str]
    setups: Mapping[str, Setup] = field(default_factory=dict)
    """By route: what was chosen on dev."""


@dataclass(frozen=True, kw_only=True)
class ArmKind:
    """What an arm is and what it needs."""

    title: str
    build: Callable[[str, Parts], Route] | None
    """None for reference scores, which ask no model."""
    corpus: bool = False
    adapter: Lesson | None = None
    """Which adapter it answers with."""
    control: bool = False
    """Controls are reported with intervals and never recommended."""
    again: bool = False
    """Asked as one more repeat, so that no cache answers it."""
    open_question: bool = True
    """Whether it can answer a question that is no item of the skill."""


def _search(parts: Parts) -> Search:
    assert parts.search is not None  # arms with `corpus` are only built where there is one
    return parts.search


def _context(parts: Parts) -> Template:
    assert parts.context is not None
    return parts.context


def _retrieve(parts: Parts, k: int | None = None) -> Retrieve:
    search = _search(parts)
    return Retrieve(
        collection=search.collection,
        k=k or search.k,
        mode=search.mode,
        retriever=search.retriever,
    )


def _adapt(parts: Parts, lesson: Lesson = "plain", *, active: bool = True) -> Adapt:
    return Adapt(adapter=parts.lessons[lesson], adapters=parts.adapters, active=active)


def _demonstrate(parts: Parts, setup: Setup) -> tuple[Demonstrate, ...]:
    if not setup.shots:
        return ()
    if setup.pick == "nearest":
        step = Demonstrate(k=setup.shots, pool=parts.pool, pick="nearest", search=parts.nearest)
    else:
        step = Demonstrate(k=setup.shots, pool=setup.shown or parts.pool)
    return (step,)


def _placebo(parts: Parts) -> Placebo:
    search = _search(parts)
    return Placebo(
        collection=search.collection,
        k=search.k,
        mode=search.mode,
        retriever=search.retriever,
        other_inputs=parts.other_inputs,
    )


def prompt_route(name: str, parts: Parts, setup: Setup) -> Route:
    """The prompt route in one of its setups."""
    return Route(name=name, template=setup.template, steps=_demonstrate(parts, setup))


def rag_route(name: str, parts: Parts, setup: Setup) -> Route:
    """The rag route in one of its setups."""
    steps: tuple[Step, ...] = (_retrieve(parts, setup.k), *_demonstrate(parts, setup))
    return Route(name=name, template=setup.template, steps=steps)


def _prompt(name: str, parts: Parts) -> Route:
    return prompt_route(name, parts, parts.setups.get("prompt", Setup(template=parts.prompt)))


def _rag(name: str, parts: Parts) -> Route:
    return rag_route(name, parts, parts.setups.get("rag", Setup(template=_context(parts))))


def lora_route(name: str, parts: Parts) -> Route:
    """The prompt under the adapter that learned from prompts alone."""
    return Route(name=name, template=parts.prompt, steps=(_adapt(parts),))


def _rag_lora(name: str, parts: Parts) -> Route:
    steps = (_retrieve(parts), _adapt(parts, "context"))
    return Route(name=name, template=_context(parts), steps=steps)


def _rag_lora_blind(name: str, parts: Parts) -> Route:
    return Route(name=name, template=_context(parts), steps=(_retrieve(parts), _adapt(parts)))


def _bare(name: str, parts: Parts) -> Route:
    return Route(name=name, template=BARE)


def _closed_book(name: str, parts: Parts) -> Route:
    return Route(name=name, template=_context(parts))


def _oracle(name: str, parts: Parts) -> Route:
    return Route(name=name, template=_context(parts), steps=(Oracle(),))


def _placebo_route(name: str, parts: Parts) -> Route:
    return Route(name=name, template=_context(parts), steps=(_placebo(parts),))


def _adapter_off(name: str, parts: Parts) -> Route:
    return Route(name=name, template=parts.prompt, steps=(_adapt(parts, active=False),))


def _whole_corpus(name: str, parts: Parts) -> Route:
    search = _search(parts)
    step = WholeCorpus(collection=search.collection, documents=search.documents)
    return Route(name=name, template=_context(parts), steps=(step,))


def _few_shot(name: str, parts: Parts) -> Route:
    setup = Setup(template=parts.prompt, shots=SHOTS, pick="fixed")
    return prompt_route(name, parts, setup)


def _few_shot_nearest(name: str, parts: Parts) -> Route:
    return prompt_route(name, parts, Setup(template=parts.prompt, shots=SHOTS))


ARMS: Final[dict[str, ArmKind]] = {
    "prompt": ArmKind(title="a prompt template and shots, chosen on dev", build=_prompt),
    "few-shot": ArmKind(title="prompt with four fixed examples as chat turns", build=_few_shot),
    "few-shot-nearest": ArmKind(
        title="prompt with the four nearest examples as chat turns", build=_few_shot_nearest
    ),
    "rag": ArmKind(title="prompt with retrieved passages", build=_rag, corpus=True),
    "lora": ArmKind(title="prompt with a trained adapter", build=lora_route, adapter="plain"),
    "rag+lora": ArmKind(
        title="retrieved passages and an adapter trained with them",
        build=_rag_lora,
        corpus=True,
        adapter="context",
    ),
    "rag+lora-blind": ArmKind(
        title="retrieved passages and an adapter that never saw any",
        build=_rag_lora_blind,
        corpus=True,
        adapter="plain",
    ),
    "prompt-twin": ArmKind(
        title="the prompt route again, asked afresh: what noise alone does",
        build=_prompt,
        control=True,
        again=True,
    ),
    "bare": ArmKind(title="the input alone, no template", build=_bare, control=True),
    "closed-book": ArmKind(
        title="the rag template without passages", build=_closed_book, corpus=True, control=True
    ),
    "oracle": ArmKind(
        title="the rag template with gold passages",
        build=_oracle,
        corpus=True,
        control=True,
        open_question=False,
    ),
    "placebo": ArmKind(
        title="the rag template with another item's passages",
        build=_placebo_route,
        corpus=True,
        control=True,
        open_question=False,
    ),
    "adapter-off": ArmKind(
        title="adapter loaded, base model answers",
        build=_adapter_off,
        adapter="plain",
        control=True,
    ),
    "whole-corpus": ArmKind(
        title="every document in the prompt", build=_whole_corpus, corpus=True, control=True
    ),
    "majority": ArmKind(
        title="the commonest training answer, no model",
        build=None,
        control=True,
        open_question=False,
    ),
    "nearest-label": ArmKind(
        title="the answer of the nearest training item, no language model",
        build=None,
        control=True,
        open_question=False,
    ),
}
MAIN_ARMS: Final = ("prompt", "rag", "lora", "rag+lora", "bare", "nearest-label")


def parse_arms(text: str) -> tuple[str, ...]:
    """`all`, or a comma-separated list of names, without repeats, in the order given.

    Raises:
        PlanError: naming every unknown arm.
    """
    if text.strip() == "all":
        return tuple(ARMS)
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if unknown := [name for name in names if name not in ARMS]:
        raise PlanError(
            f"unknown arms: {', '.join(map(repr, unknown))}",
            hint=f"Arms are: {', '.join(ARMS)}; or --arms all",
        )
    if not names:
        raise PlanError("no arm was named", hint=f"Use --arms {','.join(MAIN_ARMS)}")
    return names


def parse_contrasts(texts: Sequence[str], arms: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Pairs written `a:b`, both among the arms of the run.

    Raises:
        PlanError: naming the pair that is none.
    """
    pairs = []
    for text in texts:
        a, _, b = text.partition(":")
        if a == b or not {a, b} <= set(arms):
            raise PlanError(
                f"contrast {text!r} does not name two arms of this run",
                hint=f"Use --contrast a:b with two of: {', '.join(arms)}",
            )
        pairs.append((a, b))
    return tuple(dict.fromkeys(pairs))
