"""Gets an adapter: the one that this very training made before, or a new one.

It does not know how training works, and it is only ever handed training items.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rag_adapt.adapters.card import Card
from rag_adapt.adapters.examples import TrainingRow
from rag_adapt.adapters.from_corpus import corpus_rows
from rag_adapt.adapters.plan import Base, TrainPlan, items_hash, plan_for
from rag_adapt.adapters.store import AdapterStore
from rag_adapt.adapters.train import settings_of, train
from rag_adapt.bench.plan import Plan
from rag_adapt.core.protocols import Progress
from rag_adapt.core.types import Item, Passage
from rag_adapt.models.chat import ChatFormat
from rag_adapt.models.memory import hand_back
from rag_adapt.skills.skill import Skill


@dataclass(frozen=True, kw_only=True)
class Training:
    """One adapter to be had."""

    skill: Skill
    items: tuple[Item, ...]
    """Training items."""
    plan: Plan
    seed: int
    passages: Mapping[str, tuple[Passage, ...]] | None = None
    """What retrieval found for each training and dev item; None trains without context."""
    documents: tuple[Passage, ...] = ()
    """What to learn from beside the items, or in their place; see `Plan.learn_from`."""
    name: str | None = None
    """Of the adapter; None is the skill's."""

    def as_plan(self) -> TrainPlan:
        """The training in its own words."""
        plan, suffix = self.plan, "" if self.passages is None else "-context"
        rows: tuple[TrainingRow, ...] = ()
        if self.documents:
            limit = plan.corpus_rows
            rows = corpus_rows(self.skill, self.documents, limit=limit, seed=plan.seed).rows
        return plan_for(
            self.skill,
            () if rows and plan.learn_from == "corpus" else self.items,
            name=self.name or f"{self.skill.name[: 48 - len(suffix)]}{suffix}",
            passages=self.passages,
            extra=rows,
            learned_from=plan.learn_from if rows else "examples",
            rank=plan.rank,
            learning_rate=plan.learning_rate,
            epochs=plan.epochs,
            seed=self.seed,
        )


def trained(
    plan: TrainPlan,
    *,
    base: Base,
    chat: Callable[[], ChatFormat],
    template_hash: str,
    store: AdapterStore,
    progress: Progress,
) -> Card:
    """The card of an adapter of this plan; trained only if no stored card says it was.

    Raises:
        AdapterError: an item of another split was handed over, or training failed.
    """
    card = find_trained(plan, base=base, template_hash=template_hash, store=store)
    if card is None:
        card = train(plan, base=base, chat=chat(), store=store, progress=progress)
        hand_back()
    return card


def find_trained(
    plan: TrainPlan, *, base: Base, template_hash: str, store: AdapterStore
) -> Card | None:
    """The card of an adapter that this plan made, or None."""
    wanted = {
        "name": plan.name,
        "skill_hash": plan.skill_hash,
        "items_hash": items_hash(plan.rows),
        "weights_hash": base.weights_hash,
        "chat_template_hash": template_hash,
        "template_hash": plan.template_hash,
        "with_context": plan.with_context,
        "learned_from": plan.learned_from,
    }
    settings = settings_of(plan, base)
    for card in store.list():
        same = all(getattr(card, key) == value for key, value in wanted.items())
        if same and all(getattr(card.settings, key) == value for key, value in settings.items()):
            return card
    return None
