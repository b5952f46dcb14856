"""The passages that an adapter with context is trained on, outside of a benchmark as inside.

It does not know settings or collections; a search is handed in, and no test item passes.
"""

from collections.abc import Sequence

from rag_adapt.adapters.context import context_for
from rag_adapt.bench.arms import Search
from rag_adapt.bench.gold import gold_passages
from rag_adapt.core.errors import AdapterError
from rag_adapt.core.protocols import Progress
from rag_adapt.core.types import Item, Passage
from rag_adapt.skills.skill import Skill


async def training_passages(
    skill: Skill, items: Sequence[Item], search: Search, *, seed: int, progress: Progress
) -> dict[str, tuple[Passage, ...]]:
    """What these items and the skill's dev items are shown: evidence among distractors.

    The same items, documents and seed give what a benchmark trains `rag+lora` on, and so the
    same adapter.

    Args:
        skill: Its dev items measure the training.
        items: Training items.
        search: The one that will serve.
        seed: Of the chances by which gold evidence is put in where retrieval missed it.
        progress: Stage `context`.

    Raises:
        AdapterError: a test item was handed in.
    """
    rows = (*items, *skill.dev_items)
    gold = {item.id: gold_passages(item, search.documents) for item in rows if item.gold}
    return await context_for(
        rows, search.retriever, k=search.k, gold=gold, seed=seed, progress=progress
    )


def needs_documents(skill: Skill) -> None:
    """Stop where there is nothing to retrieve, or no template that would show it.

    Raises:
        AdapterError: the skill has no corpus; where it has one, it has the template.
    """
    if skill.corpus is None or skill.context is None:
        raise AdapterError(
            f"skill {skill.name!r} has no corpus, so there is no context to train with",
            hint="Put .md or .txt files into its folder `corpus/` and a template with {context} "
            "into `templates/context.toml`; or train without: rag-adapt adapters train "
            f"{skill.name}",
        )
