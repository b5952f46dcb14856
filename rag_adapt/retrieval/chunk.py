"""Cuts texts along headings, paragraphs, lines, sentences and words, with exact spans.

It does not know models: lengths are an estimate that needs no tokenizer, so that a collection's
spans stay the same whatever embeds them.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, Protocol

from rag_adapt.core.errors import CollectionError
from rag_adapt.retrieval.protocols import ChunkSpan

DEFAULT_TOKENS: Final = 120
MAX_TOKENS: Final = 4096
MAX_TITLE: Final = 120
"""Characters of a heading that are kept in a heading path."""

WIDE: Final = r"\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
"""Chinese, Japanese and Korean characters, one token each, as ranges of a regular expression."""
_TOKEN: Final = re.compile(rf"[{WIDE}]|[^\W{WIDE}]{{1,6}}|[^\w\s]|\s{{16}}")
_HEADING: Final = re.compile(r"^ {0,3}(#{1,6})[ \t]+(\S.*?)[ \t]*#*[ \t]*$")
_FENCE: Final = re.compile(r"^ {0,3}(`{3,}|~{3,})")
_PARAGRAPH: Final = re.compile(r"\n[ \t]*\n\s*")
_LINE: Final = re.compile(r"\n")
_SENTENCE: Final = re.compile(r"(?<=[.!?。！？])\s+|;\s+")
_WORD: Final = re.compile(r"\s+")
_CUTS: Final = (_PARAGRAPH, _LINE, _SENTENCE, _WORD)


def token_starts(text: str) -> list[int]:
    """Where the estimated tokens of a text begin, in characters.

    A word counts one token per six characters, a Chinese, Japanese or Korean character, a
    punctuation mark and sixteen blanks count one each: somewhat more than WordPiece on English.
    """
    return [match.start() for match in _TOKEN.finditer(text)]


@dataclass(frozen=True, kw_only=True)
class RecursiveChunker:
    """Sections by markdown heading, then ever smaller pieces, merged up to `tokens`.

    Spans do not overlap, hold no more than `tokens` estimated tokens, neither begin nor end with
    blanks, and together cover everything that is not blank. A heading stays with the text under
    it; sections are never merged.

    Raises:
        CollectionError: at construction, if `tokens` is out of range.
    """

    tokens: int = DEFAULT_TOKENS

    def __post_init__(self) -> None:
        if not 1 <= self.tokens <= MAX_TOKENS:
            raise CollectionError(
                f"chunks of {self.tokens} tokens are out of range",
                hint=f"Choose 1 to {MAX_TOKENS}: `--chunk-tokens {DEFAULT_TOKENS}`.",
            )

    def spec(self) -> dict[str, object]:
        """See `Chunker.spec`."""
        return {"kind": "recursive", "tokens": self.tokens, "version": 1}

    def chunk(self, text: str) -> tuple[ChunkSpan, ...]:
        """See `Chunker.chunk`."""
        cutter = Cutter(text=text, limit=self.tokens)
        return tuple(
            ChunkSpan(start=start, end=end, headings=section.headings)
            for section in sections(text)
            for start, end in cutter.spans(section)
        )


class Cut(Protocol):
    """A chunk of a document, wherever it comes from; see `ChunkSpan`."""

    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...
    @property
    def headings(self) -> tuple[str, ...]: ...
    @property
    def before(self) -> int: ...
    @property
    def after(self) -> int: ...


def embedded_text(text: str, cut: Cut) -> str:
    """What is embedded and indexed for a chunk: the headings it does not show, then its text.

    Args:
        text: Of the whole document.
        cut: The chunk, with what is read beside it.
    """
    inside = text[cut.start - cut.before : cut.end + cut.after]
    above = [title for title in cut.headings if title not in inside]
    return f"{' > '.join(above)}\n{inside}" if above else inside


@dataclass(frozen=True, kw_only=True)
class Section:
    """A stretch between two headings, with the heading lines before it."""

    start: int
    body: int
    """Where its heading lines end: nothing is cut before."""
    end: int
    headings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Title:
    start: int
    end: int
    level: int
    text: str


def _titles(text: str) -> Iterator[_Title]:
    position = 0
    fence = ""
    for line in text.split("\n"):
        if fence:
            if line.strip().startswith(fence):
                fence = ""
        elif match := _FENCE.match(line):
            fence = match[1]
        elif match := _HEADING.match(line):
            end = position + len(line)
            yield _Title(start=position, end=end, level=len(match[1]), text=match[2][:MAX_TITLE])
        position += len(line) + 1


def sections(text: str) -> Iterator[Section]:
    """Stretches between headings; a heading without text of its own joins the next section."""
    titles = list(_titles(text))
    path: list[_Title] = []
    start = 0
    begins = [*(title.start for title in titles), len(text)]
    if text[: begins[0]].strip():
        yield Section(start=0, body=0, end=begins[0], headings=())
        start = begins[0]
    for title, end in zip(titles, begins[1:], strict=True):
        path = [*(above for above in path if above.level < title.level), title]
        if text[title.end : end].strip() or end == len(text):
            headings = tuple(each.text for each in path)
            yield Section(start=start, body=title.end, end=end, headings=headings)
            start = end


@dataclass(frozen=True, kw_only=True)
class Cutter:
    """Cuts stretches of one text; the tokens are found once."""

    text: str
    limit: int
    """Estimated tokens of a piece, at most."""
    starts: list[int] = field(init=False)
    """Where they begin."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "starts", token_starts(self.text))

    def spans(self, section: Section) -> Iterator[tuple[int, int]]:
        """The section in pieces of at most `limit` tokens, trimmed; none for blanks."""
        after = self.text[section.body : section.end]
        body = section.end - len(after.lstrip())
        yield from self._trimmed(self._split(section.start, section.end, body=body, level=0))

    def within(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """A stretch without headings, cut where it is too long, trimmed; none for blanks."""
        yield from self._trimmed(self._split(start, end, body=start, level=0))

    def words(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """A stretch as full pieces of whole words, trimmed; none for blanks."""
        yield from self._trimmed(self._split(start, end, body=start, level=len(_CUTS) - 1))

    def count(self, start: int, end: int) -> int:
        """Estimated tokens that begin in a stretch."""
        return bisect_left(self.starts, end) - bisect_left(self.starts, start)

    def _trimmed(self, pieces: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        for start, end in pieces:
            inner = self.text[start:end]
            first = start + len(inner) - len(inner.lstrip())
            last = end - len(inner) + len(inner.rstrip())
            if first < last:
                yield first, last

    def _split(self, start: int, end: int, *, body: int, level: int) -> Iterator[tuple[int, int]]:
        if self.count(start, end) <= self.limit:
            yield start, end
            return
        if level == len(_CUTS):
            yield from self._split_tokens(start, end)
            return
        found = (match.end() for match in _CUTS[level].finditer(self.text, start, end))
        cuts = [cut for cut in found if cut > body]
        waiting = start
        for piece_start, piece_end in pairwise([start, *cuts, end]):
            if self.count(waiting, piece_end) <= self.limit:
                continue
            if waiting < piece_start:
                yield waiting, piece_start
            waiting = piece_start
            if self.count(piece_start, piece_end) > self.limit:
                yield from self._split(piece_start, piece_end, body=body, level=level + 1)
                waiting = piece_end
        if waiting < end:
            yield waiting, end

    def _split_tokens(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        inside = self.starts[bisect_left(self.starts, start) : bisect_left(self.starts, end)]
        yield from pairwise([start, *inside[self.limit :: self.limit], end])
