"""Make the skill `orders`: a customer's prose in, the house's compact code out.

Knows nothing of files or models.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from benchmarks.bundled_skills.writing import (
    Card,
    Item,
    Marked,
    Skill,
    Span,
    Template,
    assign,
    mark,
    sentence,
    skeleton,
    table,
    unmark,
)

SEED = 7
WORDS = table("orders")
GRAMMAR: Mapping[str, Any] = WORDS["grammar"]
EXAMPLE = "Please send three large red mugs and one small blue bowl by courier. Gift wrap it."
EXAMPLE_CODE = "3VOMZor 1TIKJet @7W"


@dataclass(frozen=True, kw_only=True)
class Form:
    """A sentence form: everything about an order's wording but its words."""

    frame: str
    phrases: Sequence[str]
    joint: str
    wish: str
    extra: str


@dataclass(frozen=True, kw_only=True)
class Line:
    """One product of an order."""

    number: int
    product: str
    size: str
    colour: str

    def code(self) -> str:
        """Number, product, size and colour without a space."""
        letters = WORDS["products"][self.product][1]
        size, colour = WORDS["sizes"][self.size], WORDS["colours"][self.colour]
        return f"{self.number}{letters}{size}{colour}"

    def words(self, phrase: str) -> str:
        """The line in prose."""
        plural = WORDS["products"][self.product][0]
        return phrase.format(
            n=GRAMMAR["numbers"][self.number - 1],
            s=self.size,
            c=self.colour,
            p=self.product if self.number == 1 else plural,
        )


def make() -> Skill:
    """The whole skill, the same at every call."""
    rng = random.Random(SEED)
    book = unmark(_documents())
    return Skill(card=_card(), items=_items(rng, book), templates=_templates(), corpus=book.corpus)


def _card() -> Card:
    return Card(
        name="orders",
        title="Orders in prose to a house code",
        description=(
            "Turns a customer's order into the compact code of an invented pottery shop. "
            "No model has seen the code; it is defined in the prompt and in the code book."
        ),
        task="extraction",
        scorer="exact",
        scorers=("f1",),
        max_tokens=32,
        cluster="sentence form; no two forms share a frame",
        unique_targets=True,
        source=f"Written for rag-adapt; made by benchmarks/bundled_skills/orders.py, seed {SEED}",
    )


def _forms(rng: random.Random, count: int) -> list[Form]:
    """Forms with a frame each; two in five carry two lines, two in five a wish."""
    frames = [*GRAMMAR["frames"]]
    frames += [f"{i} {m}" for i, m in product(GRAMMAR["openings"], GRAMMAR["deliveries"])]
    made: list[Form] = []
    for frame in rng.sample(frames, count):
        lines = 2 if rng.random() < 0.4 else 1
        extra = rng.choice(sorted(GRAMMAR["wishes"])) if rng.random() < 0.4 else ""
        made.append(
            Form(
                frame=frame,
                phrases=tuple(rng.choice(GRAMMAR["phrases"]) for _ in range(lines)),
                joint=rng.choice(GRAMMAR["joints"]) if lines > 1 else "",
                wish=rng.choice(GRAMMAR["wishes"][extra]) if extra else "",
                extra=extra,
            )
        )
    return made


def _items(rng: random.Random, book: Marked) -> list[Item]:
    forms = {f"form-{n:03}": form for n, form in enumerate(_forms(rng, 204), 1)}
    splits = assign(list(forms), rng)
    seen = {skeleton(EXAMPLE), EXAMPLE_CODE}
    items: list[Item] = []
    for name, form in forms.items():
        for turn in "ab":
            text, code, lines, mode = _draw(rng, form, seen)
            seen |= {skeleton(text), code}
            items.append(
                Item(
                    id=f"orders-{name[5:]}{turn}",
                    input=text,
                    targets=(code,),
                    split=splits[name],
                    cluster=name,
                    gold=_gold(book, lines, mode, form.extra),
                    tags=_tags(form),
                )
            )
    return items


def _draw(rng: random.Random, form: Form, seen: set[str]) -> tuple[str, str, Sequence[Line], str]:
    """Words for a form: text, code, lines and mode, neither text nor code seen before."""
    while True:
        goods = rng.sample(sorted(WORDS["products"]), len(form.phrases))
        lines = [
            Line(
                number=rng.randint(1, len(GRAMMAR["numbers"])),
                product=name,
                size=rng.choice(sorted(WORDS["sizes"])),
                colour=rng.choice(sorted(WORDS["colours"])),
            )
            for name in goods
        ]
        mode = rng.choice(sorted(WORDS["modes"]))
        what = form.joint.join(
            line.words(phrase) for line, phrase in zip(lines, form.phrases, strict=True)
        )
        text = _capitals(form.frame.format(i=what, m=mode))
        text = f"{text} {form.wish}".strip()
        extra = WORDS["extras"].get(form.extra, "")
        code = f"{' '.join(line.code() for line in lines)} @{WORDS['modes'][mode]}{extra}"
        if not {skeleton(text), code} & seen:
            return text, code, lines, mode


def _capitals(text: str) -> str:
    """A capital at the start of every sentence."""
    for stop in (". ", "! ", "? "):
        text = stop.join(sentence(part) for part in text.split(stop))
    return text


def _gold(book: Marked, lines: Sequence[Line], mode: str, extra: str) -> list[Span]:
    """The rows of the code book that the order's code is made from."""
    keys = [word for line in lines for word in (line.product, line.size, line.colour)]
    keys += [mode, *([extra] if extra else [])]
    return [span for key in dict.fromkeys(keys) for span in book.spans[key]]


def _tags(form: Form) -> list[str]:
    lines = "two-lines" if len(form.phrases) > 1 else "one-line"
    return [lines, form.extra] if form.extra else [lines]


def _codes(name: str) -> str:
    """One table of the code book as `word CODE` pairs on one line."""
    rows = WORDS[name].items()
    return ", ".join(f"{word} {c[1] if isinstance(c, list) else c}" for word, c in rows)


def _templates() -> dict[str, Template]:
    grammar = (
        "Write the order as code: for each product its number, product, size and colour codes "
        "without spaces, then @ and the delivery code, then the codes of extras."
    )
    example = f"Order: {EXAMPLE}\nCode: {EXAMPLE_CODE}"
    codes = (
        f"Products: {_codes('products')}.\nSizes: {_codes('sizes')}.\n"
        f"Colours: {_codes('colours')}.\nDelivery: {_codes('modes')}.\nExtras: {_codes('extras')}."
    )
    question = "Order: {input}\nCode:"
    return {
        "prompt": Template(user=f"{grammar}\n{codes}\n\n{example}\n\n{question}"),
        "prompt-2": Template(
            system="You turn orders into codes. Answer with the code alone.",
            user=f"{codes}\n\n{example}\n\n{question}",
        ),
        "context": Template(
            user=f"{grammar}\nThe code book says:\n{{context}}\n\n{example}\n\n{question}"
        ),
    }


def _rows(name: str) -> str:
    """A table of the code book, each row marked with its word."""
    return "\n".join(mark(word, f"| {word} | {code} |") for word, code in WORDS[name].items())


def _documents() -> dict[str, str]:
    book: Mapping[str, str] = table("orders_book")
    products = "\n".join(
        mark(word, f"| {word} | {code} | {note} |")
        for word, (_, code, note) in WORDS["products"].items()
    )
    rows = {name: _rows(name) for name in ("sizes", "colours", "modes", "extras")}
    return {f"{name}.md": _fill(text, rows | {"products": products}) for name, text in book.items()}


def _fill(text: str, rows: Mapping[str, str]) -> str:
    for name, body in rows.items():
        text = text.replace(f"<{name}>", body)
    return text
