"""Takes markdown and plain text apart: sections, blocks and sentences.

It does not know what is made of them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

BlockKind = Literal["paragraph", "item", "table", "code"]

_HEADING: Final = re.compile(r"^ {0,3}(#{1,6})[ \t]+(\S.*?)[ \t]*#*[ \t]*$")
_FENCE: Final = re.compile(r"^ {0,3}(`{3,}|~{3,})")
_BULLET: Final = re.compile(r"^[ \t]*(?:[-*+]|\d{1,3}[.)])[ \t]+(?=\S)")
_RULE: Final = re.compile(r"^[ \t]*([-*_=])(?:[ \t]*\1){2,}[ \t]*$")
_SENTENCE: Final = re.compile(
    r"(?:(?<=[.!?])|(?<=[.!?][*_\"')`])|(?<=[.!?]\*\*))\s+(?=[*_\"'(`]*[A-Z0-9])|(?<=[。！？])"
)
_MARKUP: Final = re.compile(r"\*\*|__|(?<!\w)[*_]|[*_](?!\w)|`")


@dataclass(frozen=True, kw_only=True)
class Block:
    """A stretch of a section that is read as one."""

    kind: BlockKind
    text: str
    """A paragraph or list item on one line, without its bullet; the lines of a table or code."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """What stands under one heading."""

    headings: tuple[str, ...]
    """Titles above it, outermost first; none before the first heading."""
    text: str
    """Without heading lines."""

    @property
    def subject(self) -> str:
        """What the document is about: its first title, up to a colon."""
        return self.headings[0].split(":")[0].strip() if self.headings else ""

    @property
    def is_about_a_thing(self) -> bool:
        """Whether the title names it and says more after a colon: `Lamp: Spare parts`."""
        return ":" in self.headings[0] if self.headings else False

    @property
    def path(self) -> str:
        """The headings in one line."""
        return " > ".join(self.headings)


def sections(text: str) -> Iterator[Section]:
    """The stretches between headings that hold any text, in order."""
    headings: list[tuple[int, str]] = []
    lines: list[str] = []
    fence = ""
    for line in text.splitlines():
        opened = _FENCE.match(line)
        if fence or opened:
            fence = _after(line, fence, opened[1] if opened else "")
        elif title := _HEADING.match(line):
            yield from _section(headings, lines)
            level = len(title[1])
            headings = [*(above for above in headings if above[0] < level), (level, title[2])]
            lines = []
            continue
        lines.append(line)
    yield from _section(headings, lines)


def _after(line: str, fence: str, opened: str) -> str:
    """The fence that is open after this line; empty outside of code."""
    if not fence:
        return opened
    return "" if line.strip().startswith(fence) else fence


def _section(headings: list[tuple[int, str]], lines: list[str]) -> Iterator[Section]:
    text = "\n".join(lines).strip()
    if text:
        yield Section(headings=tuple(title for _, title in headings), text=text)


def blocks(text: str) -> Iterator[Block]:
    """Paragraphs, list items, tables and fenced code, in order."""
    kind: BlockKind = "paragraph"
    held: list[str] = []
    fence = ""
    for line in [*text.splitlines(), ""]:
        opened = _FENCE.match(line)
        if fence:
            fence = _after(line, fence, "")
            if fence:
                held.append(line)
            continue
        found = _kind(line, kind)
        if opened or not line.strip() or found != kind or _BULLET.match(line):
            yield from _block(kind, held)
            held = []
        if opened:
            fence, kind = opened[1], "code"
        elif line.strip() and not _RULE.match(line):
            kind = found
            held.append(line)
        else:
            kind = "paragraph"
    yield from _block(kind, held)


def _kind(line: str, before: BlockKind) -> BlockKind:
    if line.lstrip().startswith("|"):
        return "table"
    if _BULLET.match(line):
        return "item"
    return "item" if before == "item" else "paragraph"


def _block(kind: BlockKind, lines: list[str]) -> Iterator[Block]:
    if not lines:
        return
    if kind in ("table", "code"):
        yield Block(kind=kind, text="\n".join(line.strip() for line in lines).strip())
        return
    joined = " ".join(line.strip() for line in lines)
    yield Block(kind=kind, text=_BULLET.sub("", joined) if kind == "item" else joined)


def sentences(text: str) -> list[str]:
    """The sentences of a paragraph; one where none ends."""
    return [found for part in _SENTENCE.split(text) if (found := part.strip())]


def plain(text: str) -> str:
    """Without the marks of emphasis and code."""
    return _MARKUP.sub("", text).strip()


def pieces(text: str, *, most: int) -> Iterator[str]:
    """A section cut between paragraphs, else sentences, else words, into at most `most` characters.

    A single word that is longer stays whole.
    """
    held = ""
    for part in _parts(text, most):
        if held and len(held) + len(part.glue) + len(part.text) > most:
            yield held
            held = ""
        held = f"{held}{part.glue}{part.text}" if held else part.text
    if held:
        yield held


@dataclass(frozen=True, kw_only=True)
class _Part:
    text: str
    glue: str
    """What stands between it and the part before."""


@dataclass(frozen=True, kw_only=True)
class _Cut:
    split: re.Pattern[str]
    glue: str


_CUTS: Final = (
    _Cut(split=re.compile(r"\n[ \t]*\n\s*"), glue="\n\n"),
    _Cut(split=re.compile(r"\n"), glue="\n"),
    _Cut(split=_SENTENCE, glue=" "),
    _Cut(split=re.compile(r"\s+"), glue=" "),
)


def _parts(text: str, most: int, level: int = 0, glue: str = "\n\n") -> Iterator[_Part]:
    """Parts that fit, cut as coarsely as they do."""
    if len(text) <= most or level == len(_CUTS):
        yield _Part(text=text, glue=glue)
        return
    cut = _CUTS[level]
    found = [part.strip() for part in cut.split.split(text) if part.strip()]
    for number, part in enumerate(found):
        yield from _parts(part, most, level + 1, cut.glue if number else glue)
