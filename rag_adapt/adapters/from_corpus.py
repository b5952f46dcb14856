"""Training rows made from a skill's documents, so that an adapter is not barred from their facts.

It does not know retrieval, tokens or models, and looks at test and dev items only to keep clear of
them. **No row holds the input of a test or dev item, or a near-duplicate of one.**
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, Literal

from rag_adapt.adapters.corpus_facts import facts
from rag_adapt.adapters.corpus_text import Section, pieces, sections, sentences
from rag_adapt.adapters.examples import TrainingRow
from rag_adapt.core.errors import AdapterError
from rag_adapt.core.template import BARE, Template
from rag_adapt.core.types import Draft, Passage
from rag_adapt.skills.nearest import NearIndex, Needles
from rag_adapt.skills.skill import Skill

PIECE: Final = 480
"""Characters of the longest text to recite: some 120 tokens."""
CHARACTERS_PER_TOKEN: Final = 3
"""Low, so that an answer that is judged to fit does."""
HELD_WORDS: Final = 4
"""Words from which a test or dev input must not stand inside a row; a shorter one, such as a
single word to inflect, must not be a row's question."""


@dataclass(frozen=True, kw_only=True)
class CorpusRows:
    """What was made of the documents."""

    rows: tuple[TrainingRow, ...]
    """Texts and each fact's first question come before further questions; else seeded."""
    texts: int
    """Rows that recite or continue a section."""
    pairs: int
    """Rows that ask and answer."""
    dropped: int
    """Rows that came too near to a test or dev input, whatever the limit."""


@dataclass(frozen=True, kw_only=True)
class _Asked:
    kind: Literal["text", "pair"]
    form: int
    """Which of a fact's questions; 0 for texts."""
    question: str
    target: str


@dataclass(frozen=True, kw_only=True)
class _Made:
    asked: _Asked
    row: TrainingRow


def corpus_rows(
    skill: Skill, documents: Sequence[Passage], *, limit: int | None, seed: int
) -> CorpusRows:
    """Sections to recite, and questions and answers made from the text by rules.

    Questions of a skill whose task is `question` are asked by its own prompt template, so that
    training and serving have one form, unless their answer is longer than the skill's may be.
    Everything else is asked bare: "What is the code of mug?" under a template that demands a
    line of JSON would teach to break the form.

    Args:
        skill: Whose documents they are; its test and dev inputs are kept out.
        documents: Whole documents; their names become part of the rows' ids.
        limit: Rows at most; a smaller limit takes the first rows of a larger. None takes all.
        seed: Of the order.

    Raises:
        AdapterError: the limit is below 1.
    """
    if limit is not None and limit < 1:
        raise AdapterError(
            f"a limit of {limit} leaves no rows from documents",
            hint="Use 1 or more, or leave out `--from corpus`.",
        )
    made = [each for document in documents for each in _made(skill, document)]
    held = _Held(skill)
    kept = [each for each in made if not held.meets(each.asked)]
    Random(seed).shuffle(kept)
    chosen = sorted(kept, key=lambda each: each.asked.form)[:limit]
    kinds = Counter(each.asked.kind for each in chosen)
    return CorpusRows(
        rows=tuple(each.row for each in chosen),
        texts=kinds["text"],
        pairs=kinds["pair"],
        dropped=len(made) - len(kept),
    )


class _Held:
    """The inputs that are measured or chosen on."""

    def __init__(self, skill: Skill) -> None:
        inputs = {item.id: item.input for item in (*skill.test_items, *skill.dev_items)}
        self._near = NearIndex(inputs)
        self._inside = Needles(inputs, least=HELD_WORDS)

    def meets(self, asked: _Asked) -> bool:
        if self._near.nearest(asked.question) is not None:
            return True
        read = f"{asked.question}\n{asked.target}"
        return next(self._inside.inside(read), None) is not None


def _made(skill: Skill, document: Passage) -> Iterator[_Made]:
    number = 0
    for section in sections(document.text):
        for asked in (*_texts(section), *_pairs(section)):
            yield _Made(asked=asked, row=_row(skill, asked, f"corpus:{document.document}:{number}"))
            number += 1


def _row(skill: Skill, asked: _Asked, name: str) -> TrainingRow:
    template = BARE if asked.kind == "text" else _template(skill, asked.target)
    draft = Draft(item_id=name, input=asked.question, labels=skill.labels)
    return TrainingRow(
        item_id=name, split="train", messages=template.render(draft), target=asked.target
    )


def _texts(section: Section) -> Iterator[_Asked]:
    """A section by its headings, or else by its first sentence; long ones piece by piece."""
    before = ""
    for piece in pieces(section.text, most=PIECE):
        if before:
            path = f" of {section.path}" if section.path else ""
            question, target = f"Continue the text{path} after: {before}", piece
        elif section.path:
            question, target = f"Recite: {section.path}", piece
        else:
            opening = sentences(piece)[0]
            question, target = f"Continue: {opening}", piece[len(opening) :].strip()
        before = sentences(piece)[-1]
        if target:
            yield _Asked(kind="text", form=0, question=question, target=target)


def _pairs(section: Section) -> Iterator[_Asked]:
    for fact in facts(section):
        for form, question in enumerate(dict.fromkeys(fact.questions)):
            yield _Asked(kind="pair", form=form, question=question, target=fact.answer)


def _template(skill: Skill, answer: str) -> Template:
    fits = len(answer) <= CHARACTERS_PER_TOKEN * skill.max_tokens
    return skill.prompt if skill.task == "question" and fits else BARE
