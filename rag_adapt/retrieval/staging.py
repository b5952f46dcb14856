"""What lies between the files of a folder and the collection that readers see.

It does not know how files are parsed, or how texts become vectors.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, get_args

from rag_adapt.core.protocols import Progress
from rag_adapt.core.types import content_hash
from rag_adapt.retrieval.again import chunker_again
from rag_adapt.retrieval.chunk import embedded_text
from rag_adapt.retrieval.embed import suited, text_hash
from rag_adapt.retrieval.files import Files, FileState, Parsing
from rag_adapt.retrieval.linking.store import damaged, kinds_of, relink, said_of
from rag_adapt.retrieval.linking.units import LinkKind
from rag_adapt.retrieval.loose import NotingEmbedder
from rag_adapt.retrieval.means import check_means
from rag_adapt.retrieval.parse import Reader
from rag_adapt.retrieval.parsers.parsed import UnusableError
from rag_adapt.retrieval.patch import Change, NewChunk, NewDocument, NoRoomError, put
from rag_adapt.retrieval.protocols import Chunker, Embedder
from rag_adapt.retrieval.record import Meta, Record
from rag_adapt.retrieval.scan import FailedDocument, FoundFile, Scan, nothing_usable
from rag_adapt.retrieval.sqlite import transaction, translated
from rag_adapt.retrieval.survey import kept_time, survey

IDENTITY: Final = 1
"""Part of a collection's hash; grows when the same texts would be indexed otherwise."""
KEEP: Final = 100
"""Files that are read between two commits, at most; long ones are kept sooner."""
KEEP_CHARACTERS: Final = 4_000_000
"""Of parsed text that is held until it is kept."""


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What a collection is to be."""

    source_dir: Path
    embedder: Embedder
    chunker: Callable[[Embedder], Chunker] | None
    """Makes it; None for the one that it was built with."""
    thorough: bool
    """Whether every byte is compared; else a file's size and time are believed."""
    links: tuple[LinkKind, ...] | None = None
    """What links it is to have; None for those that it has."""
    remembered: Path | None = None
    """The file of what embedders remember, if it is to forget what goes."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of the files."""

    documents: int
    failed: tuple[FailedDocument, ...]
    notes: Mapping[str, tuple[str, ...]]


class Staging:
    """One update of one collection; its record is open for writing."""

    def __init__(self, record: Record, goal: Goal) -> None:
        self.record = record
        self._files = Files(record)
        self._old = record.meta()
        if self._old is not None:
            goal = replace(goal, embedder=suited(goal.embedder, self._old.weights))
        had = kinds_of(record)
        self._links = had if goal.links is None else goal.links
        self.relinks = self._links != had or (goal.thorough and bool(damaged(record)))
        """Whether other links are asked for than there are, or these do not fit the chunks."""
        self.goal = goal
        noting = NotingEmbedder(goal.embedder, record)
        if goal.chunker is not None:
            self._chunker = goal.chunker(noting)
        else:
            assert self._old is not None  # only what was built before is asked for without one
            self._chunker = chunker_again(self._old.chunker, embedder=noting)
        self._sound = self._old is None or self._is_sound()
        if not self._sound:
            self._files.forget_all()

    def read(self, scan: Scan, reader: Reader, progress: Progress) -> int:
        """Read what is new, changed or failed before; how many files that were."""
        found = survey(self._files.rows(), scan, trust_times=not self.goal.thorough)
        now = time.time_ns()
        times = {file.name: kept_time(file, now) for file in (*found.touched, *found.unread)}
        self._files.touch(found.touched, times)
        self._files.refuse(found.refused)
        self._files.expect(found.unread)
        waiting: list[Parsing] = []
        held = 0
        for done, file in enumerate(found.unread, start=1):
            parsing = _parsing(file, times[file.name], reader)
            waiting.append(parsing)
            held += 0 if parsing.read is None else len(parsing.read.parsed.text)
            if len(waiting) >= KEEP or held > KEEP_CHARACTERS:
                self._files.keep(waiting)
                waiting, held = [], 0
            progress.update("parsing", done, len(found.unread), file.name)
        self._files.keep(waiting)
        return len(found.unread)

    def change(self, scan: Scan) -> Change | None:
        """What is to be put in place; None where readers see it already.

        Raises:
            CollectionError: nothing would be left.
        """
        here = {file.name for file in scan.files} | {each.path for each in scan.failed}
        known = {*self.record.paths(failed=True), *self._files.paths(*get_args(FileState))}
        gone = sorted(known - here)
        failed = {path: why for path, why in self._new_failures().items() if path in here}
        staged = self._files.paths("parsed", "embedded") & here
        whole = self._is_whole()
        left = sorted({*self.record.paths(), *staged} - {*gone, *failed})
        if not left:
            raise nothing_usable(self.goal.source_dir, self.outcome().failed)
        loose = self.goal.thorough and self.record.counter("residue") > 0
        if not (whole or gone or failed or staged or loose):
            return None
        return Change(
            documents=tuple(self._cut(left if whole else sorted(staged))),
            failed=failed,
            gone=gone,
            whole=whole,
            tidy=self.goal.thorough,
        )

    def lacking(self, change: Change) -> set[str]:
        """Hashes of the texts whose vectors are not here."""
        wanted = {chunk.text_hash for each in change.documents for chunk in each.chunks}
        return wanted - self.record.embedded(self.goal.embedder.identity.weights, wanted)

    def put(self, change: Change) -> None:
        """Put it in place, all at once."""
        try:
            self._put(change)
        except NoRoomError:
            left = sorted(
                {*self.record.paths(), *(each.path for each in change.documents)}
                - {*change.gone, *change.failed}
            )
            self._put(replace(change, documents=tuple(self._cut(left)), whole=True))

    def text(self, path: str) -> str:
        """The text of a document as it will be put in place."""
        staged = self._files.staged(path)
        return (self.record.text(path) or "") if staged is None else staged.text

    def outcome(self) -> Outcome:
        """What became of every file."""
        rows = self._files.remarks()
        return Outcome(
            documents=len(self.record.paths()),
            failed=tuple(
                FailedDocument(path=row.path, reason=row.reason)
                for row in rows
                if row.reason is not None
            ),
            notes={row.path: row.notes for row in rows if row.notes},
        )

    def _put(self, change: Change) -> None:
        weights = self.goal.embedder.identity.weights
        with translated(self.record.path), transaction(self.record.connection):
            put(self.record, change, weights=weights)
            self._identify()

    def relink(self) -> None:
        """Put other links in place, where nothing else changes."""
        with translated(self.record.path), transaction(self.record.connection):
            self._identify()

    def _identify(self) -> None:
        """Write what the collection is now, and what links its units; numbers of chunks change."""
        meta = self._meta()
        self.record.write_meta(meta)
        relink(self.record, meta, self._links)

    def _meta(self) -> Meta:
        identity = self.goal.embedder.identity
        (vector,) = self.record.connection.execute(
            "SELECT length(vector) FROM embeddings WHERE weights = ? LIMIT 1", (identity.weights,)
        ).fetchone()
        return Meta(
            content_hash=self._content_hash(),
            generation=1 if self._old is None else self._old.generation + 1,
            embedder=identity.name,
            weights=identity.weights,
            dimensions=int(vector) // 4,
            chunker=self._chunker.spec(),
        )

    def _content_hash(self) -> str:
        rows = self.record.connection.execute(
            "SELECT path, sha256 FROM documents WHERE state = 'indexed' ORDER BY path"
        ).fetchall()
        identity = {
            "schema": IDENTITY,
            "chunker": self._chunker.spec(),
            "weights": self.goal.embedder.identity.weights,
            "documents": [[path, sha256] for path, sha256 in rows],
        }
        if self._links:
            said = said_of(self.record)
            identity["links"] = list(self._links)
            identity["said"] = {path: [r.as_json() for r in each] for path, each in said.items()}
        return content_hash(identity)

    def _cut(self, paths: Sequence[str]) -> Iterator[NewDocument]:
        for path in paths:
            text = self.text(path)
            yield NewDocument(
                path=path,
                chunks=tuple(
                    NewChunk(
                        start=span.start,
                        end=span.end,
                        headings=span.headings,
                        before=span.before,
                        after=span.after,
                        text_hash=text_hash(embedded_text(text, span)),
                    )
                    for span in self._chunker.chunk(text)
                ),
            )

    def _new_failures(self) -> dict[str, str]:
        """Reasons that readers do not see yet, by path."""
        with translated(self.record.path):
            seen = set(
                self.record.connection.execute(
                    "SELECT path, reason FROM documents WHERE state = 'failed'"
                )
            )
            found = self.record.connection.execute(
                "SELECT path, reason FROM files WHERE state = 'failed' ORDER BY path"
            ).fetchall()
        return dict(each for each in found if each not in seen)

    def _is_whole(self) -> bool:
        """Whether every chunk is put in place anew."""
        old = self._old
        return (
            old is None
            or not self._sound
            or old.weights != self.goal.embedder.identity.weights
            or old.chunker != self._chunker.spec()
        )

    def _is_sound(self) -> bool:
        """Whether the record is in step with itself; looked at closely where that is asked."""
        assert self._old is not None
        chunks = self.record.count("chunks")
        if self.record.count("lexical") != chunks or not self._files_match():
            return False
        return not self.goal.thorough or self._whole_record_is_sound()

    def _files_match(self) -> bool:
        """Whether every document that readers see came from a file that is known."""
        with translated(self.record.path):
            (strange,) = self.record.connection.execute(
                "SELECT count(*) FROM (SELECT path FROM documents EXCEPT SELECT path FROM files)"
            ).fetchone()
        return int(strange) == 0

    def _whole_record_is_sound(self) -> bool:
        assert self._old is not None
        with translated(self.record.path):
            (lacking,) = self.record.connection.execute(
                "SELECT count(*) FROM chunks LEFT JOIN embeddings ON weights = ? "
                "AND embeddings.text_hash = chunks.text_hash WHERE vector IS NULL",
                (self._old.weights,),
            ).fetchone()
        documents = self.record.documents()
        intact = all(
            row.reason is not None or (row.text is not None and text_hash(row.text) == row.sha256)
            for row in documents
        )
        return int(lacking) == 0 and intact


def _parsing(file: FoundFile, mtime_ns: int, reader: Reader) -> Parsing:
    try:
        read = reader.read(file)
        check_means(read.parsed.text)
    except UnusableError as error:
        return Parsing(file=file, mtime_ns=0, read=None, sha256=None, reason=str(error))
    return Parsing(
        file=file, mtime_ns=mtime_ns, read=read, sha256=text_hash(read.parsed.text), reason=None
    )
