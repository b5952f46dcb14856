"""Make the skill `support`: a complaint in, a one-line JSON reply out that needs a policy page.

Knows nothing of files or models.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.bundled_skills.writing import (
    Card,
    Item,
    Marked,
    Skill,
    Template,
    assign,
    mark,
    sentence,
    table,
    unmark,
)

SEED = 13
WORDS = table("support")
POLICY: Mapping[str, Any] = WORDS["policy"]
EXAMPLE = "Order 1234: the drip tray of my Alder grill is bent."
EXAMPLE_REPLY = '{{"order": "1234", "part": "GA-07", "action": "repair", "days": 30}}'


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What the house does about one part of one product line."""

    series: str
    kind: str
    part: str
    number: str
    action: str
    days: int

    def key(self) -> str:
        """The fact's name, which is also its cluster's."""
        return f"{self.series}-{self.kind}-{self.part}".lower().replace(" ", "-")

    def reply(self, order: str) -> str:
        """The one-line reply for an order."""
        fields = {"order": order, "part": self.number, "action": self.action, "days": self.days}
        return json.dumps(fields)


def make() -> Skill:
    """The whole skill, the same at every call."""
    rng = random.Random(SEED)
    policies = _policies(rng)
    pages = unmark(_documents(rng, policies))
    return Skill(
        card=_card(),
        items=_items(rng, policies, pages),
        templates=_templates(),
        corpus=pages.corpus,
    )


def _card() -> Card:
    return Card(
        name="support",
        title="Support replies in a house format",
        description=(
            "Answers complaints about kitchen appliances of an invented shop with one line of "
            "JSON: order number from the message; part, action and days from the policy pages."
        ),
        task="text",
        scorer="json-fields",
        scorers=("json",),
        max_tokens=56,
        cluster="fact: one part of one product line",
        unique_targets=True,
        source=f"Written for rag-adapt; made by benchmarks/bundled_skills/support.py, seed {SEED}",
    )


def _policies(rng: random.Random) -> list[Policy]:
    """One policy for each part of each line; numbers are unique, days differ among series."""
    made: list[Policy] = []
    for kind, words in WORDS["kinds"].items():
        days = {part: rng.sample(POLICY["days"], len(WORDS["series"])) for part in words["parts"]}
        for position, series in enumerate(WORDS["series"]):
            figures = rng.sample(range(10, 99), len(words["parts"]))
            for part, figure in zip(words["parts"], figures, strict=True):
                policy = Policy(
                    series=series,
                    kind=kind,
                    part=part,
                    number=f"{words['letter']}{series[0]}-{figure}",
                    action=rng.choice(POLICY["actions"]),
                    days=days[part][position],
                )
                made.append(policy)
    return made


def _documents(rng: random.Random, policies: Sequence[Policy]) -> dict[str, str]:
    pages = {f"{name}.md": text for name, text in WORDS["pages"].items()}
    for kind in WORDS["kinds"]:
        for series in WORDS["series"]:
            own = [p for p in policies if (p.series, p.kind) == (series, kind)]
            rng.shuffle(own)
            pages[f"{series}-{kind}.md".lower()] = _page(rng, series, kind, own)
    return pages


def _page(rng: random.Random, series: str, kind: str, policies: Sequence[Policy]) -> str:
    """The policy page of one product line."""
    words = WORDS["kinds"][kind]
    entries = "\n\n".join(mark(p.key(), _entry(rng, p)) for p in policies)
    return (
        f"# {series} {kind}: parts and policy\n\n"
        f"The {series} {kind} belongs to {WORDS['series'][series]}. {words['intro']}\n\n"
        f"## Parts\n\n{entries}\n\n## Remarks\n\n{words['closing']}\n"
    )


def _entry(rng: random.Random, policy: Policy) -> str:
    """The sentences that state one policy."""
    text: str = rng.choice(POLICY["entries"])
    return sentence(
        text.format(
            p=policy.part,
            m=f"{policy.series} {policy.kind}",
            n=policy.number,
            a=rng.choice(POLICY["phrases"][policy.action]),
            d=policy.days,
        )
    )


def _items(rng: random.Random, policies: Sequence[Policy], pages: Marked) -> list[Item]:
    splits = assign([policy.key() for policy in policies], rng)
    orders = iter(rng.sample(range(2000, 9999), 2 * len(policies)))
    items: list[Item] = []
    for policy in policies:
        key = policy.key()
        if key not in splits:
            continue
        forms = rng.sample(WORDS["messages"]["forms"], 2)
        faults = WORDS["kinds"][policy.kind]["parts"][policy.part]
        for letter, form, fault in zip("ab", forms, faults, strict=True):
            order = str(next(orders))
            message = form.format(
                k=f"{policy.series} {policy.kind}", p=policy.part, f=fault, o=order
            )
            items.append(
                Item(
                    id=f"support-{key}-{letter}",
                    input=message,
                    targets=(policy.reply(order),),
                    split=splits[key],
                    cluster=key,
                    gold=pages.spans[key],
                    tags=(policy.kind, policy.series.lower(), policy.action),
                )
            )
    return items


def _templates() -> dict[str, Template]:
    rule = (
        "Answer the complaint with one line of JSON: order (number given), part (our part "
        f"number), action ({', '.join(POLICY['actions'])}), days (a number)."
    )
    example = f"Complaint: {EXAMPLE}\nReply: {EXAMPLE_REPLY}"
    question = "Complaint: {input}\nReply:"
    return {
        "prompt": Template(user=f"{rule}\n\n{example}\n\n{question}"),
        "prompt-2": Template(
            system="You are the support desk. Reply with one line of JSON and nothing else.",
            user=f"{rule}\nForm: {EXAMPLE_REPLY}\n\n{{input}}",
        ),
        "context": Template(
            user=f"{rule}\nTake part, action and days from these pages:\n{{context}}\n\n"
            f"{example}\n\n{question}"
        ),
    }
