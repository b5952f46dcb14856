"""Builds one route as it will be served: as a run measured it, or in the skill's first setup.

It does not know when routes are opened or how long they are kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rag_adapt.bench.arms import ARMS, Parts, Search
from rag_adapt.bench.plan import choose_examples
from rag_adapt.bench.proof import Proof
from rag_adapt.bench.reference import Embeds, NearestPool
from rag_adapt.core.errors import AdapterError, ModelNotFoundError
from rag_adapt.core.protocols import Adapters, Step
from rag_adapt.core.template import BARE, Template
from rag_adapt.core.types import Example
from rag_adapt.routes.adapt import Adapt
from rag_adapt.routes.demonstrate import Demonstrate
from rag_adapt.routes.retrieve import Retrieve
from rag_adapt.routes.route import Route
from rag_adapt.serving.recommended import Advice, Measured
from rag_adapt.skills.skill import Skill

PLAIN = "plain"
"""The arm's name of an answer without route: messages go through as they are."""
PLAIN_TOKENS = 256
"""Longest answer of the plain model where the client names no limit."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Which run a route was taken from."""

    run: str
    basis: str
    """How firm its recommendation is: `decided`, `non-inferior` or `undecided`."""
    sentence: str
    recommended: bool
    """Whether this is the route that it recommends, not only one that it measured."""


@dataclass(frozen=True, kw_only=True)
class Served:
    """A route ready to answer, and what its reader should know of it."""

    arm: str
    """`prompt`, `rag`, `lora`, `rag+lora`, another arm that a run recommended, or `plain`."""
    route: Route
    skill: str | None = None
    labels: tuple[str, ...] = ()
    max_tokens: int = PLAIN_TOKENS
    """Of an answer, where the client names no limit."""
    stop: tuple[str, ...] = ()
    """The skill's own stop strings; a client's come on top."""
    origin: Origin | None = None
    """None where the skill's first setup is served."""
    proof: Proof | None = None
    """Of its adapter, when the route was opened; None where it has none."""

    @property
    def adapter(self) -> str | None:
        """The adapter's version; None where the base model answers."""
        return next((step.adapter for step in self.route.steps if isinstance(step, Adapt)), None)

    @property
    def setup(self) -> str:
        """In words: template, passages, worked examples."""
        parts = [self.route.template.name]
        for step in self.route.steps:
            if isinstance(step, Retrieve):
                parts.append(f"{step.k} passages")
            elif isinstance(step, Demonstrate):
                parts.append(f"{step.k} {step.pick} examples")
        return ", ".join(parts)


@dataclass(frozen=True, kw_only=True)
class Kit:
    """What a skill's routes are built from."""

    skill: Skill
    adapters: Adapters
    embedder: Embeds
    search: Search | None
    """None where the skill has no documents, or the route does not read them."""


def plain() -> Served:
    """The engine's model as it is."""
    return Served(arm=PLAIN, route=Route(name=PLAIN, template=BARE))


def first_setup(kit: Kit, arm: str, *, adapter: str | None = None) -> Served:
    """A route in the skill's first setup.

    Raises:
        ModelNotFoundError: it reads documents and the skill has none.
    """
    kind, skill = ARMS[arm], kit.skill
    if kind.corpus and (kit.search is None or skill.context is None):
        raise ModelNotFoundError(
            f"skill {skill.name!r} has no documents, so it has no route {arm!r}",
            hint=f"Ask for `route:prompt/{skill.name}`, or put .md or .txt files into its folder "
            "`corpus/`.",
        )
    pool = _examples(skill, None, 0)
    parts = Parts(
        prompt=skill.prompt,
        context=skill.context,
        pool=pool,
        nearest=NearestPool(pool, kit.embedder),
        adapters=kit.adapters,
        search=kit.search,
        lessons={} if kind.adapter is None or adapter is None else {kind.adapter: adapter},
        other_inputs={},
    )
    assert kind.build is not None  # only arms that ask a model are served
    return _served(kit, arm, kind.build(arm, parts), origin=None)


def as_measured(kit: Kit, measured: Measured, advice: Advice) -> Served:
    """A route exactly as a run asked it: its spec is that of the run's own traces.

    Raises:
        ModelNotFoundError: something that it was built from is not there any more, or settings
            of retrieval are different now.
    """
    said = advice.recommendation
    origin = Origin(
        run=advice.header.id,
        basis=said.basis,
        sentence=said.sentence,
        recommended=said.route == measured.arm,
    )
    template = _template(kit.skill, measured.spec["template"])
    if template is None:
        raise _changed(kit, measured, advice)
    plan = advice.header.plan
    pool = _examples(kit.skill, plan.get("examples"), plan.get("seed", 0))
    steps = tuple(_step(kit, spec, pool, measured.shown) for spec in measured.spec["steps"])
    route = Route(name=measured.arm, template=template, steps=steps)
    if not advice.folded and route.spec() != measured.spec:
        raise _changed(kit, measured, advice)
    return _served(kit, measured.arm, route, origin=origin)


def check_template(served: Served, trained_with: str) -> None:
    """Stop an adapter from answering prompts of another form than it was trained on.

    Raises:
        AdapterError: the skill's template changed since.
    """
    if served.route.template.hash == trained_with:
        return
    context = " --context" if "rag" in served.arm else ""
    raise AdapterError(
        f"adapter {served.adapter!r} was trained with template {trained_with}, but skill "
        f"{served.skill!r} now asks with {served.route.template.hash}",
        hint=f"Train it again: `rag-adapt adapters train {served.skill}{context}`.",
    )


def _served(kit: Kit, arm: str, route: Route, *, origin: Origin | None) -> Served:
    skill = kit.skill
    return Served(
        arm=arm,
        route=route,
        skill=skill.name,
        labels=skill.labels,
        max_tokens=skill.max_tokens,
        stop=skill.stop,
        origin=origin,
    )


def _examples(skill: Skill, limit: int | None, seed: int) -> tuple[Example, ...]:
    learn = choose_examples(skill.training_items, limit, seed)
    return tuple(Example(input=item.input, output=item.targets[0]) for item in learn)


def _template(skill: Skill, spec: Mapping[str, str]) -> Template | None:
    found = skill.templates.get(spec["name"])
    return found if found is not None and found.hash == spec["hash"] else None


def _step(
    kit: Kit, spec: Mapping[str, Any], pool: tuple[Example, ...], shown: tuple[str, ...]
) -> Step:
    if spec["step"] == "adapt":
        return Adapt(adapter=spec["adapter"], adapters=kit.adapters, active=spec["active"])
    if spec["step"] == "retrieve":
        assert kit.search is not None  # a run that holds has the same collection
        return Retrieve(
            collection=kit.search.collection,
            k=spec["k"],
            mode=kit.search.mode,
            retriever=kit.search.retriever,
        )
    return _demonstrate(kit, spec, pool, shown)


def _demonstrate(
    kit: Kit, spec: Mapping[str, Any], pool: tuple[Example, ...], shown: tuple[str, ...]
) -> Demonstrate:
    whole = Demonstrate(k=spec["k"], pool=pool, pick=spec["pick"])
    if spec["pick"] == "nearest":
        search = NearestPool(pool, kit.embedder)
        return Demonstrate(k=spec["k"], pool=pool, pick="nearest", search=search)
    if whole.spec() == spec:
        return whole
    # An optimiser chose these examples one by one; the trace says which.
    known = {example.input: example for example in pool}
    chosen = tuple(known[text] for text in shown if text in known)
    return Demonstrate(k=spec["k"], pool=chosen)


def _changed(kit: Kit, measured: Measured, advice: Advice) -> ModelNotFoundError:
    name = kit.skill.name
    return ModelNotFoundError(
        f"route {measured.arm!r} of skill {name!r} cannot be served as run {advice.header.id} "
        "measured it: templates, examples or settings of retrieval are different now",
        hint=f"Measure it again: `rag-adapt bench {name}`.",
    )
