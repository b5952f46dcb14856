"""Makes questions and answers of a text by rules: tables, keys and values, definitions, gaps.

It does not know skills, templates or models. Each fact is asked in several forms, since one form
alone is learned by heart and not found again under another (Ovadia et al., "Fine-tuning or
retrieval? Comparing knowledge injection in LLMs", 2024), and where it may be turned round, it is
asked from its other end too (Berglund et al., "The reversal curse", 2024).
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rag_adapt.adapters.corpus_text import Block, Section, blocks, plain, sentences

MOST_WORDS: Final = 24
"""Words of the longest answer."""
MOST_GAPS: Final = 3
"""Gaps tried in one sentence."""
MOST_TURNED: Final = 6
"""Words of the longest value in a table that is asked for its row."""
GAP: Final = "___"

_CELL: Final = re.compile(r"(?<!\\)\|")
_DASHES: Final = re.compile(r"^:?-+:?$")
_LEAD: Final = re.compile(r"^\*\*(?P<key>[^*]{2,90}?)\*\*[ ]*:?[ ]*(?P<value>[^\s,;].*)$")
_KEYED: Final = re.compile(
    r"^(?P<key>`?[^\W\d_][^:=.!?;,|]{0,60}?)[ ]*(?::(?!/)[ ]+|[ ]=[ ])(?P<value>\S.*)$"
)
_DEFINED: Final = re.compile(
    r"^(?P<what>[^,;:!?]{3,90}?)[ ](?P<verb>is|are)[ ](?P<value>\S[^;:!?]*)"
)
_NO_SUBJECT: Final = frozenset(
    "it its they this that these those there here he she we you i one what who which where when "
    "how if as since because while although and but or so not nothing nobody all none some most "
    "both each such then now in on at by for with from to of after before during between under "
    "only even".split()
)
_SAYS_NOTHING: Final = frozenset(
    ["value", "values", "setting", "default", "entry", "description", "meaning", ""]
)
_OPENS_VALUE: Final = frozenset("a an the our one its".split())
_CLAUSE: Final = re.compile(
    r",? (?:as|since|because|so that|which|who|that|if|when|while|where|for it|until|unless|but)\b"
    r"|[,;:(]| - |\.$|\. "
)
_OF: Final = re.compile(
    r"^the (?:[\w-]+ ){0,2}(?:number|code|name|type|kind|price|value|size) (?:of|for) (?P<of>.+)$",
    flags=re.I,
)
_FOR: Final = re.compile(r"^For (?P<of>the [^,;:]{3,60}?) (?:use|take|choose|order)\b")
_NO_UNIT: Final = (
    "of|or|and|to|in|is|are|was|were|has|have|had|from|for|by|at|on|when|while|with|as|than|that"
)
_UNIT: Final = rf"(?:[ ]?(?:°[A-Z]|%)|[ ](?!(?:{_NO_UNIT})\b)[a-zA-Zµ]+)"
_GAPS: Final = (
    re.compile(r"`[^`]+`"),
    re.compile(r"\b(?:[A-Z]+[A-Za-z]*[-/]?\d[\w-]*|\d+[A-Z][\w-]*)\b"),
    re.compile(r"(?<=[\w,] )[A-Z][\w'-]*(?: (?:[A-Z][\w'-]*|\d+(?!\w)))*"),
    re.compile(rf"(?<![\w.-])\d+(?:[.,]\d+)*{_UNIT}?(?![\w-])"),
)
"""Code, part numbers, names, figures with their units."""


@dataclass(frozen=True, kw_only=True)
class Fact:
    """Something that a text says, as several questions with one answer."""

    questions: tuple[str, ...]
    answer: str


def facts(section: Section) -> Iterator[Fact]:
    """What the rules find in a section, in order, each once."""
    told = set()
    for block in blocks(section.text):
        for fact in _facts(block, section):
            answerable = 0 < len(fact.answer.split()) <= MOST_WORDS
            if answerable and fact not in told:
                told.add(fact)
                yield fact


def _facts(block: Block, section: Section) -> Iterator[Fact]:
    if block.kind == "table":
        yield from _table(block.text, section)
    elif block.kind == "code":
        for line in block.text.split("\n"):
            yield from _keyed(line, section.subject)
    elif lead := _LEAD.match(block.text):
        yield from _led(plain(lead["key"]), lead["value"], section)
    else:
        yield from _told(sentences(block.text), section.subject)


def _table(text: str, section: Section) -> Iterator[Fact]:
    """`What is the COLUMN of ROW?` for every cell, and the row of every value that has one."""
    rows = [_cells(line) for line in text.split("\n")]
    if len(rows) < 3 or not all(_DASHES.match(cell) for cell in rows[1]):
        return
    heads, body = rows[0], [row for row in rows[2:] if len(row) == len(rows[0]) and row[0]]
    for column in range(1, len(heads)):
        often = Counter(row[column] for row in body)
        for row in body:
            yield from _cell(heads[column], row[0], row[column], section)
            if often[row[column]] == 1 and 0 < len(row[column].split()) <= MOST_TURNED:
                asked = f"{_lower(heads[0])} has the {_lower(heads[column])} {row[column]}"
                question = _about(section.subject, f"Which {asked}?")
                yield Fact(questions=(question,), answer=row[0])


def _cells(line: str) -> list[str]:
    return [plain(cell) for cell in _CELL.split(line.strip().strip("|"))]


def _cell(column: str, row: str, value: str, section: Section) -> Iterator[Fact]:
    """A column called `Value` says nothing: then the row alone is asked for."""
    if not value:
        return
    row, subject = _lower(row), section.subject
    asked = row if column.lower() in _SAYS_NOTHING else f"{_lower(column)} of {row}"
    verb = "are" if re.search(r"[^s]s$", asked.split(" of ")[0]) else "is"
    whole = f" of the {subject}" if section.is_about_a_thing else ""
    yield Fact(
        questions=(
            _about(subject, f"What {verb} the {asked}{whole}?"),
            f"{subject}, {asked}?" if subject else f"{_upper(asked)}?",
            _about(subject, f"Which {_lower(column) or 'value'} is given for {row}?"),
        ),
        answer=value,
    )


def _led(key: str, value: str, section: Section) -> Iterator[Fact]:
    """A term, a question or a complaint in bold, then what there is to say about it."""
    first = plain(sentences(value)[0])
    name = key.rstrip(".:?")
    if key.endswith("?"):
        asked: tuple[str, ...] = (key, f"{key} What is the answer?")
    elif len(name.split()) > 3:
        asked = (f"{name}. What then?", f"What is there to say to this: {name}?")
    elif re.match(r"(?:the|an?|one|means|is|are)\b", first, flags=re.I):
        asked = (f"What is meant by {name}?", f"What does {name} mean?", f"Explain: {name}")
    else:
        asked = (f"{name}: what does the text say?", f"What stands under {name}?", f"{name}?")
    answer = re.sub(r"^(?:means|is|are) (?:that )?", "", first)
    yield Fact(questions=tuple(_about(section.subject, each) for each in asked), answer=answer)
    yield from _told(sentences(value), section.subject, topic=name)


def _told(found: Sequence[str], subject: str, topic: str = "") -> Iterator[Fact]:
    """Facts of a paragraph's sentences; later ones are asked under what the first is about."""
    for position, sentence in enumerate(map(plain, found)):
        about = topic or subject
        known = [*_keyed(sentence, about), *_defined(sentence, about)]
        yield from known
        answers = " | ".join(fact.answer for fact in known)
        for fact in _gaps(sentence, about, subject):
            if fact.answer not in answers:
                yield fact
        if position == 0 and not topic:
            topic = _topic(sentence)


def _keyed(line: str, about: str) -> Iterator[Fact]:
    """`key: value` and `key = value`."""
    found = _keyed_line(line)
    if not found:
        return
    key, value = plain(found["key"]), plain(found["value"])
    answer = _clause(value) if value.endswith(".") else value
    asked = (f"What is the {_lower(key)}?", f"{key}?", f"What is said of the {_lower(key)}?")
    yield Fact(questions=tuple(_about(about, each) for each in asked), answer=answer)


def _keyed_line(line: str) -> re.Match[str] | None:
    """A key and its value, unless what stands before the colon reads like a sentence."""
    found = _KEYED.match(line.strip())
    if not found or _DEFINED.match(found["key"]):
        return None
    read = plain(found["key"]).lower().split()
    short = len(read) <= 3 or ("of" in read and len(read) <= 8)
    return found if short and read[0] not in _NO_SUBJECT else None


def _defined(sentence: str, about: str) -> Iterator[Fact]:
    """`X is Y`, where Y is a thing, a name or a figure and not just what is done to X."""
    found = _DEFINED.match(sentence)
    if not found:
        return
    what, verb, value = found["what"], found["verb"], _clause(found["value"])
    if not _is_thing(what, value):
        yield from _stated(sentence, found, about)
        return
    name = _lower(what)
    asked = (f"What {verb} {name}?", f"Tell me what {name} {verb}.", f"{what}?")
    short = re.sub(r"^(?:the|called|named) ", "", value)
    yield Fact(questions=tuple(_about(about, each) for each in asked), answer=short)
    if value.startswith("the ") and len(value.split()) > 2:
        turned = (f"What {verb} {value}?", f"{_upper(value)}?")
        answer = re.sub(r"^(?:The|An?) ", "", what)
        yield Fact(questions=tuple(_about(about, each) for each in turned), answer=answer)


def _stated(sentence: str, found: re.Match[str], about: str) -> Iterator[Fact]:
    """`X is so`: a word that no `What is X?` asks for."""
    so = re.match(r"[a-z]{3,}(?=[.,:;]|$)", found["value"])
    if so and found["what"].lower().split()[0] not in _NO_SUBJECT:
        start = found.start("value")
        yield _gap(sentence, range(start, start + so.end()), about)


def _is_thing(what: str, value: str) -> bool:
    if not value or len(what.split()) > 12 or what.lower().split()[0] in _NO_SUBJECT:
        return False
    first = value.split()[0]
    named = first in ("called", "named") and len(value.split()) > 1
    return named or first.lower() in _OPENS_VALUE or bool(re.match(r"[A-Z0-9`\"]", first))


def _gaps(sentence: str, about: str, subject: str) -> Iterator[Fact]:
    """The sentence with a code, a figure or a name left out."""
    taken: list[range] = []
    for pattern in _GAPS:
        for found in pattern.finditer(sentence):
            place = range(found.start(), found.end())
            known = any(place.start < t.stop and t.start < place.stop for t in taken)
            if known or found[0] in subject or len(taken) == MOST_GAPS:
                continue
            taken.append(place)
            yield _gap(sentence, place, about)


def _gap(sentence: str, place: range, about: str) -> Fact:
    shown = f"{sentence[: place.start]}{GAP}{sentence[place.stop :]}"
    asked = (f"What belongs in the gap? {shown}", f"Complete: {shown}")
    return Fact(
        questions=tuple(_about(about, each) for each in asked),
        answer=plain(sentence[place.start : place.stop]),
    )


def _topic(sentence: str) -> str:
    """What a paragraph's first sentence is about, so that the next ones may be asked under it."""
    if found := _FOR.match(sentence):
        return found["of"]
    if found := _keyed_line(sentence):
        return found["key"]
    if (found := _DEFINED.match(sentence)) and _is_thing(found["what"], _clause(found["value"])):
        sides = [_clause(found["value"]), found["what"]]
        named = [side for side in sides if not re.search(r"\d", side)] or sides
        side = max(named, key=len)
        of = _OF.match(side)
        return of["of"] if of else _lower(side)
    return ""


def _clause(value: str) -> str:
    """Up to the first aside or reason; a choice is one of several and keeps its commas."""
    if value.startswith("one of "):
        return re.split(r"[;:]|\.$|\. ", value, maxsplit=1)[0].strip()
    return _CLAUSE.split(value, maxsplit=1)[0].strip().rstrip(".")


def _about(subject: str, question: str) -> str:
    """The question, with its subject in front where it does not name it."""
    named = question.lower()
    if all(word in named for word in subject.lower().split()):
        return question
    return f"{subject}: {question}"


def _lower(text: str) -> str:
    """Without the capital of a sentence's first word, unless it is a name or a code."""
    first = text.split(" ")[0]
    if first in ("The", "A", "An") or (first[1:].islower() and " " in text and first.isalpha()):
        return text[0].lower() + text[1:]
    return text if re.search(r"\d|[A-Z]", first[1:]) else text[:1].lower() + text[1:]


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
