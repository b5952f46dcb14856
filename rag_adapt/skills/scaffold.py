"""Starts a new skill: a small folder that is valid as it is, to be filled by a person.

It does not know what the skill will be about.
"""

from pathlib import Path
from typing import Final

from rag_adapt.core.template import Template
from rag_adapt.core.types import Item, Split
from rag_adapt.skills.skill import Skill
from rag_adapt.skills.writing import Parts, write_skill

_WORDS: Final[tuple[tuple[Split, str, str], ...]] = (
    ("train", "warm", "cold"),
    ("train", "early", "late"),
    ("train", "full", "empty"),
    ("train", "quick", "slow"),
    ("dev", "loud", "quiet"),
    ("dev", "near", "far"),
    ("test", "open", "closed"),
    ("test", "heavy", "light"),
    ("test", "young", "old"),
    ("test", "wet", "dry"),
)


def new_skill(name: str, parent: Path) -> Skill:
    """Write `parent/<name>` with example items of every split, to be replaced.

    Raises:
        SkillError: the name is not allowed or taken.
    """
    head = {
        "name": name,
        "title": name.replace("-", " ").capitalize(),
        "description": "What the skill is for, in a sentence or two.",
        "task": "question",
        "scorer": "exact",
        "scorers": ["f1"],
        "labels": [],
        "max_tokens": 16,
        "stop": ["\n"],
        "cluster": "what the items of one cluster share, such as a fact or a wording",
        "unique_targets": False,
        "licence": "who may use the items, and how",
        "source": "where the items come from",
    }
    user = "What is the opposite of the word? Answer with one word.\n\nWord: {input}\nOpposite:"
    return write_skill(
        Parts(head=head, items=_items(name), templates={"prompt": Template(system="", user=user)}),
        parent,
    )


def _items(name: str) -> tuple[Item, ...]:
    def item(number: int, split: Split, word: str, opposite: str) -> Item:
        return Item(
            id=f"{name}-{number:03d}",
            input=word,
            targets=(opposite,),
            split=split,
            cluster=f"pair-{number:03d}",
        )

    return tuple(item(number, *words) for number, words in enumerate(_WORDS, start=1))
