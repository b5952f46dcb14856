"""The leak firewall: which test items were met before, in what is learned from or read.

It does not know models or routes; it finds, counts and joins clusters, and changes no split.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from rag_adapt.bench.figures import Leak, Leaks
from rag_adapt.core.types import Item, Passage
from rag_adapt.skills.clusters import join_clusters
from rag_adapt.skills.near_duplicates import THRESHOLD, normal_form
from rag_adapt.skills.nearest import NearIndex, contained, words
from rag_adapt.skills.skill import Skill, only_training

PARAGRAPH_WORDS: Final = 4
"""Words from which an input may be a near-duplicate of a whole paragraph or line, or stand in a
template: "Yes, please" alone says nothing."""
CONTAINED_WORDS: Final = 8
"""Words from which an input that stands inside a longer text counts: shorter ones are phrases
that any two texts may share ("what is the width of the")."""
TARGET_WORDS: Final = 3
"""The same for targets that a skill declares to be an item's own."""
_BLANK: Final = re.compile(r"\n[ \t]*\n")

Place = Literal["train", "dev", "corpus"]


@dataclass(frozen=True, kw_only=True)
class Firewall:
    """What was found, and the items as statistics must see them."""

    figures: Leaks
    items: tuple[Item, ...]
    """The test items in the order given, near-duplicates under one cluster."""
    leaked: frozenset[str]
    """Ids of those that were met elsewhere: scores are given with and without them."""


@dataclass(frozen=True, kw_only=True)
class _Met:
    item: str
    place: Place
    kind: Literal["input", "target", "template"]
    """What of the item was met, or that its input stands in a template."""
    key: str
    """The seen item's id, the document or the template."""
    similarity: float = 1.0

    def told(self) -> Leak:
        said = {"input": self.key, "target": f"{self.key} (target)", "template": self.key}
        where = f"{self.place}:{said[self.kind]}"
        return Leak(item=self.item, where=where, similarity=self.similarity)


def find_leaks(
    skill: Skill,
    items: Sequence[Item],
    learn: Sequence[Item],
    *,
    documents: Sequence[Passage] = (),
    threshold: float = THRESHOLD,
) -> Firewall:
    """Look for the test items among training and dev items, templates and documents.

    Each item is told at most once per place and kind, with its nearest match. Inputs are compared
    by the Jaccard similarity of neighbouring word pairs of their normal form; targets, word for
    word and only where the skill declares them an item's own. Test items become one cluster if
    they are near-duplicates of each other or of the same seen item, or share a cluster already.

    Args:
        skill: Its dev items and templates are searched, whatever the run uses of them.
        items: The test items of the run.
        learn: The training items of the run: example pool and adapter data alike.
        documents: Whole documents of the corpus.
        threshold: In (0, 1].

    Raises:
        SkillError: an item of `learn` is not a training item.
    """
    only_training(learn, purpose="the leak firewall")
    inputs = {item.id: item.input for item in items}
    met = [
        *_met_items("train", items, learn, threshold),
        *_met_items("dev", items, skill.dev_items, threshold),
        *_met_templates(inputs, skill),
        *_met_paragraphs(inputs, documents, threshold),
        *_met_inside(inputs, documents),
    ]
    if skill.unique_targets:
        met += _copied("train", items, learn)
        met += _copied("dev", items, skill.dev_items)
        met += _quoted(items, documents)
    joined = join_clusters(items, threshold=threshold, alike=_alike(met))
    position = {item.id: number for number, item in enumerate(items)}
    found = [each.told() for each in _nearest_of_each(met)]
    return Firewall(
        figures=Leaks(
            skill=skill.name,
            checked=len(items),
            found=tuple(sorted(found, key=lambda leak: position[leak.item])),
            merged_clusters=len(joined.clusters),
        ),
        items=joined.items,
        leaked=frozenset(leak.item for leak in found),
    )


def _met_items(
    place: Place, items: Sequence[Item], seen: Sequence[Item], threshold: float
) -> Iterator[_Met]:
    index = NearIndex({item.id: item.input for item in seen}, threshold=threshold)
    for item in items:
        if match := index.nearest(item.input):
            yield _Met(
                item=item.id,
                place=place,
                kind="input",
                key=match.key,
                similarity=match.similarity,
            )


def _met_templates(inputs: Mapping[str, str], skill: Skill) -> Iterator[_Met]:
    """Inputs in a template's worked examples: each route that uses it has seen them."""
    texts = {
        f"template {name}": f"{template.system}\n\n{template.user}"
        for name, template in skill.templates.items()
    }
    for found in contained(inputs, texts, least=PARAGRAPH_WORDS):
        yield _Met(item=found.needle, place="train", kind="template", key=found.text)


def _met_paragraphs(
    inputs: Mapping[str, str], documents: Sequence[Passage], threshold: float
) -> Iterator[_Met]:
    names: dict[str, str] = {}
    paragraphs: dict[str, str] = {}
    for document in documents:
        for paragraph in _paragraphs(document.text):
            key = str(len(names))
            names[key], paragraphs[key] = document.document, paragraph
    index = NearIndex(paragraphs, threshold=threshold)
    for item, text in inputs.items():
        if len(words(text)) >= PARAGRAPH_WORDS and (match := index.nearest(text)):
            yield _Met(
                item=item,
                place="corpus",
                kind="input",
                key=names[match.key],
                similarity=match.similarity,
            )


def _paragraphs(text: str) -> Iterator[str]:
    """Stretches between blank lines, and the lines of those that have several."""
    for block in _BLANK.split(text):
        lines = [line for line in block.split("\n") if line.strip()]
        if lines:
            yield block
        if len(lines) > 1:
            yield from lines


def _met_inside(inputs: Mapping[str, str], documents: Sequence[Passage]) -> Iterator[_Met]:
    texts = {document.document: document.text for document in documents}
    for found in contained(inputs, texts, least=CONTAINED_WORDS):
        yield _Met(item=found.needle, place="corpus", kind="input", key=found.text)


def _copied(place: Place, items: Sequence[Item], seen: Sequence[Item]) -> Iterator[_Met]:
    """Items one of whose targets is, but for case and punctuation, one of a seen item's."""
    known: dict[str, str] = {}
    for item in seen:
        for target in item.targets:
            known.setdefault(normal_form(target), item.id)
    for item in items:
        matches = [known[form] for form in map(normal_form, item.targets) if form in known]
        if matches:
            yield _Met(item=item.id, place=place, kind="target", key=matches[0])


def _quoted(items: Sequence[Item], documents: Sequence[Passage]) -> Iterator[_Met]:
    texts = {document.document: document.text for document in documents}
    owners = [(item.id, target) for item in items for target in item.targets]
    targets = {str(number): target for number, (_, target) in enumerate(owners)}
    for found in contained(targets, texts, least=TARGET_WORDS):
        yield _Met(item=owners[int(found.needle)][0], place="corpus", kind="target", key=found.text)


def _alike(met: Iterable[_Met]) -> Iterator[tuple[str, str]]:
    """Pairs of test items whose input was met in the same training or dev item."""
    first: dict[tuple[str, str], str] = {}
    for each in met:
        if each.kind == "input" and each.place != "corpus":
            other = first.setdefault((each.place, each.key), each.item)
            if other != each.item:
                yield other, each.item


def _nearest_of_each(met: Iterable[_Met]) -> list[_Met]:
    """For each item, place and kind the match that is most alike."""
    best: dict[tuple[str, str, str], _Met] = {}
    for each in met:
        key = (each.item, each.place, each.kind)
        if key not in best or each.similarity > best[key].similarity:
            best[key] = each
    return list(best.values())
