"""The arms a benchmark knows: a visible table from a name to how its route is built.

It does not know how collections are searched or adapters trained; it is handed the prepared parts.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from rag_adapt.bench.reference import NearestPool
from rag_adapt.core.errors import PlanError
from rag_adapt.core.protocols import Adapters, Retriever
from rag_adapt.core.template import BARE, Template
from rag_adapt.core.types import Example, Passage
from rag_adapt.routes.adapt import Adapt
from rag_adapt.routes.demonstrate import Demonstrate
from rag_adapt.routes.retrieve import Oracle, Placebo, Retrieve, WholeCorpus
from rag_adapt.routes.route import Route

SHOTS: Final = 4


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
    adapter: str | None
    other_inputs: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class ArmKind:
    """What an arm is and what it needs."""

    title: str
    build: Callable[[str, Parts], Route] | None
    """None for reference scores, which ask no model."""
    corpus: bool = False
    adapter: bool = False
    control: bool = False
    """Controls are reported with intervals and never recommended."""
    open_question: bool = True
    """Whether it can answer a question that is no item of the skill."""


def _search(parts: Parts) -> Search:
    assert parts.search is not None  # arms with `corpus` are only built where there is one
    return parts.search


def _context(parts: Parts) -> Template:
    assert parts.context is not None
    return parts.context


def _retrieve(parts: Parts) -> Retrieve:
    search = _search(parts)
    return Retrieve(
        collection=search.collection, k=search.k, mode=search.mode, retriever=search.retriever
    )


def _adapt(parts: Parts, *, active: bool = True) -> Adapt:
    assert parts.adapter is not None
    return Adapt(adapter=parts.adapter, adapters=parts.adapters, active=active)


def _placebo(parts: Parts) -> Placebo:
    search = _search(parts)
    return Placebo(
        collection=search.collection,
        k=search.k,
        mode=search.mode,
        retriever=search.retriever,
        other_inputs=parts.other_inputs,
    )


def _prompt(name: str, parts: Parts) -> Route:
    return Route(name=name, template=parts.prompt)


def _rag(name: str, parts: Parts) -> Route:
    return Route(name=name, template=_context(parts), steps=(_retrieve(parts),))


def _lora(name: str, parts: Parts) -> Route:
    return Route(name=name, template=parts.prompt, steps=(_adapt(parts),))


def _rag_lora(name: str, parts: Parts) -> Route:
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
    step = Demonstrate(k=SHOTS, pool=parts.pool)
    return Route(name=name, template=parts.prompt, steps=(step,))


def _few_shot_nearest(name: str, parts: Parts) -> Route:
    step = Demonstrate(k=SHOTS, pool=parts.pool, pick="nearest", search=parts.nearest)
    return Route(name=name, template=parts.prompt, steps=(step,))


ARMS: Final[dict[str, ArmKind]] = {
    "prompt": ArmKind(title="the skill's prompt template", build=_prompt),
    "few-shot": ArmKind(title="prompt with four fixed examples as chat turns", build=_few_shot),
    "few-shot-nearest": ArmKind(
        title="prompt with the four nearest examples as chat turns", build=_few_shot_nearest
    ),
    "rag": ArmKind(title="prompt with retrieved passages", build=_rag, corpus=True),
    "lora": ArmKind(title="prompt with a trained adapter", build=_lora, adapter=True),
    "rag+lora": ArmKind(
        title="retrieved passages and the adapter (trained without context)",
        build=_rag_lora,
        corpus=True,
        adapter=True,
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
        title="adapter loaded, base model answers", build=_adapter_off, adapter=True, control=True
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
