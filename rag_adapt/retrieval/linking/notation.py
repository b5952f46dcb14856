"""Reads what a text says of its units, `<<connects_to: UNIT_12>>`, and takes it out of the text.

It does not know chunks: a remark belongs to a character, and so to whatever chunk holds it.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

RemarkKind = Literal["unit", "level", "connects_to", "same_level_as"]
_NAME: Final = r"[\w.-]{1,64}"
_REMARK: Final = re.compile(
    rf"<<[ \t]*(?:(level)[ \t]*:[ \t]*([1-4])"
    rf"|(unit)[ \t]*:[ \t]*({_NAME})"
    rf"|(connects_to|same_level_as)[ \t]*:[ \t]*({_NAME}(?:[ \t]*,[ \t]*{_NAME})*))[ \t]*>>",
    re.IGNORECASE,
)
_FENCE: Final = re.compile(r"^ {0,3}(`{3,}|~{3,})")


@dataclass(frozen=True, kw_only=True)
class Remark:
    """What a text says of one of its units."""

    position: int
    """A character of the unit, in the text without remarks; never a blank."""
    kind: RemarkKind
    value: str
    """The unit's own name, its level, or the name of another unit."""

    def as_json(self) -> list[Any]:
        """As it is kept."""
        return [self.position, self.kind, self.value]

    @classmethod
    def from_json(cls, found: Sequence[Any]) -> "Remark":
        """See `as_json`."""
        position, kind, value = found
        return cls(position=position, kind=kind, value=value)


@dataclass(frozen=True, kw_only=True)
class Unmarked:
    """A text without its remarks."""

    text: str
    remarks: tuple[Remark, ...]
    taken: tuple["Taken", ...]

    def moved(self, place: int) -> int:
        """Where a place of the old text is now."""
        return place - sum(
            min(place, each.end) - each.start for each in self.taken if each.start < place
        )


@dataclass(frozen=True, kw_only=True)
class Taken:
    """A stretch of the old text that was taken out."""

    start: int
    end: int
    said: tuple[Remark, ...]
    """Their positions are not known yet."""
    leads: bool
    """Whether it stood before text on its line: then it is about what follows."""


def unmarked(text: str) -> Unmarked:
    """The text without the remarks that stand outside fenced code.

    A remark before text on its line, or alone after a blank line, is about what follows it; any
    other is about what it follows.

    >>> unmarked("<<unit: A>> Tea is hot. <<connects_to: B>>").text
    'Tea is hot.'
    """
    if "<<" not in text:
        return Unmarked(text=text, remarks=(), taken=())
    taken = tuple(_taken(text))
    kept, last = [], 0
    for each in taken:
        kept.append(text[last : each.start])
        last = each.end
    left = "".join((*kept, text[last:]))
    return Unmarked(text=left, remarks=tuple(_placed(left, taken)), taken=taken)


def _taken(text: str) -> Iterator[Taken]:
    fence, start = "", 0
    for line in text.splitlines(keepends=True):
        if fence:
            fence = "" if line.strip().startswith(fence) else fence
        elif match := _FENCE.match(line):
            fence = match[1]
        elif "<<" in line:
            yield from _of_line(line, start)
        start += len(line)


def _of_line(line: str, start: int) -> Iterator[Taken]:
    found = list(_REMARK.finditer(line))
    if found and not _REMARK.sub("", line).strip():
        said = tuple(remark for match in found for remark in _said(match))
        yield Taken(start=start, end=start + len(line), said=said, leads=False)
        return
    done, leads = 0, True
    for match in found:
        first, last = match.start(), match.end()
        before = line[done:first]
        leads = leads and not before.strip()
        if leads:
            last += len(line[last:]) - len(line[last:].lstrip(" \t"))
        else:
            first -= len(before) - len(before.rstrip(" \t"))
        done = last
        yield Taken(start=start + first, end=start + last, said=tuple(_said(match)), leads=leads)


def _said(match: re.Match[str]) -> Iterator[Remark]:
    kind, values = (part for part in match.groups() if part is not None)
    for value in re.split(r"[ \t]*,[ \t]*", values):
        yield Remark(position=0, kind=_KINDS[kind.lower()], value=value)


_KINDS: Final[dict[str, RemarkKind]] = {
    "unit": "unit",
    "level": "level",
    "connects_to": "connects_to",
    "same_level_as": "same_level_as",
}


def _placed(text: str, taken: Sequence[Taken]) -> Iterator[Remark]:
    """Every remark at a character of its unit; none where the text is blank."""
    gone = 0
    for each in taken:
        place = each.start - gone
        gone += each.end - each.start
        before, after = _last(text, place), _next(text, place)
        near = before is not None and text.count("\n", before, place) < 2
        anchor = (after if after is not None else before) if each.leads or not near else before
        if anchor is not None:
            yield from (replace(remark, position=anchor) for remark in each.said)


def _last(text: str, place: int) -> int | None:
    while place > 0 and text[place - 1].isspace():
        place -= 1
    return place - 1 if place else None


def _next(text: str, place: int) -> int | None:
    while place < len(text) and text[place].isspace():
        place += 1
    return place if place < len(text) else None
