"""Gets a skill's adapter: the one that this very plan made before, or a new one.

It does not know how training works, and it is only ever handed training items.
"""

from collections.abc import Callable, Sequence

from rag_adapt.adapters.card import Card
from rag_adapt.adapters.plan import Base, TrainPlan, items_hash, plan_for
from rag_adapt.adapters.store import AdapterStore
from rag_adapt.adapters.train import settings_of, train
from rag_adapt.bench.plan import Plan
from rag_adapt.bench.prepare import Trained
from rag_adapt.core.protocols import Progress
from rag_adapt.core.types import Item
from rag_adapt.models.chat import ChatFormat
from rag_adapt.models.memory import hand_back
from rag_adapt.skills.skill import Skill


def get_adapter(
    skill: Skill,
    learn: Sequence[Item],
    plan: Plan,
    *,
    base: Base,
    chat: Callable[[], ChatFormat],
    template_hash: str,
    store: AdapterStore,
    progress: Progress,
) -> Trained:
    """The adapter for this skill and plan; trained only if no stored card says it was.

    Raises:
        AdapterError: an item of another split was handed over, or training failed.
    """
    wanted = plan_for(
        skill,
        learn,
        rank=plan.rank,
        learning_rate=plan.learning_rate,
        epochs=plan.epochs,
        seed=plan.seed,
    )
    card = find_trained(wanted, base=base, template_hash=template_hash, store=store)
    if card is None:
        card = train(wanted, base=base, chat=chat(), store=store, progress=progress)
        hand_back()
    return Trained(
        version=card.version,
        examples=card.examples,
        seconds=card.seconds,
        bytes=card.size_bytes,
    )


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
    }
    settings = settings_of(plan, base)
    for card in store.list():
        same = all(getattr(card, key) == value for key, value in wanted.items())
        if same and all(getattr(card.settings, key) == value for key, value in settings.items()):
            return card
    return None
