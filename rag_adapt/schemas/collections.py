"""Collections of documents on the wire.

It does not know how documents are kept, indexed or searched.
"""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from rag_adapt.retrieval.catalog import State
from rag_adapt.retrieval.protocols import SearchMode
from rag_adapt.schemas.jobs import JobInfo
from rag_adapt.schemas.orders import Order
from rag_adapt.schemas.wire import Wire


class CollectionEntry(Wire):
    """One collection; zeros unless it is ready."""

    name: str
    state: State
    """`unfinished` while its first build runs or after it was interrupted."""
    documents: int
    chunks: int
    failed: int
    """Files that were left out."""
    embedder: str
    content_hash: str
    """Identity of documents, chunker and weights."""
    changeable: bool
    """Whether its documents were uploaded here: others are changed where they lie."""


class CollectionList(Wire):
    """`GET /v1/collections`."""

    data: list[CollectionEntry]
    kinds: list[str]
    """How the names of files end that can be uploaded as documents, such as `.md`."""


class CollectionQuotations(Wire):
    """What quotes a collection, in any state that it was ever in, and keeps its text."""

    name: str
    runs: list[str]
    """Their answers keep what the model was sent: they stay until their folders are deleted."""
    traces: int
    """Of the service: `rag-adapt traces remove` deletes them."""
    conversations: int
    """Of all callers, that hold its passages beside an answer: the same command takes them out, and
    whoever has one may delete it."""


class CollectionRemoved(CollectionQuotations):
    """What is gone, and what still quotes it."""

    bytes: int
    """Of its record, its indexes and its uploaded documents."""


class TextOrder(Order):
    """A document as text."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=80)]
    """Becomes a file name of letters, digits, dots and hyphens; `.md` is added where it ends in
    neither `.md` nor `.txt`."""
    text: Annotated[str, StringConstraints(min_length=1, max_length=1_000_000)]
    """Markdown or plain text."""


class LeftOut(Wire):
    """A document that was sent and not kept."""

    document: str
    reason: str


class DocumentsAdded(JobInfo):
    """The job that indexes documents, and which they are."""

    kept: list[str]
    """File names, as the documents are called from now on."""
    left_out: list[LeftOut]
    """The others, each with the reason."""


class SearchRequest(Order):
    """What to look for."""

    query: Annotated[str, StringConstraints(min_length=1, max_length=10_000)]
    k: Annotated[int, Field(ge=1, le=100)] = 4
    """Passages at most."""
    mode: SearchMode = "fused"


class Hit(Wire):
    """A passage that was found."""

    document: str
    start: int
    """First character in the parsed document."""
    end: int
    """One past the last."""
    text: str
    score: float
    """Higher is better; the scale is the mode's own."""


class SearchResult(Wire):
    """Passages, best first."""

    collection: str
    content_hash: str
    data: list[Hit]


class DocumentList(Wire):
    """`GET /v1/collections/{name}/documents`: one page, by path."""

    data: list[str]
    next: str | None
    """`cursor` of the next page; null on the last one."""


FileState = Literal["indexed", "failed", "waiting"]
"""`waiting`: uploaded, and no finished build has seen it yet."""


class FileInfo(Wire):
    """One document of a collection, whether or not it could be indexed."""

    document: str
    state: FileState
    reason: str | None
    """Why it was left out; null unless it failed."""
    notes: list[str]
    """What its reader changed or left out."""
    characters: int
    """Of the parsed text that can be searched; 0 where none can."""
    chunks: int
    repeatable: bool
    """Whether it was uploaded here, so that it can be tried again."""


class FileCounts(Wire):
    """How many documents are in which state."""

    indexed: int
    failed: int
    waiting: int


class FileList(Wire):
    """`GET /v1/collections/{name}/files`: one page, by path."""

    data: list[FileInfo]
    counts: FileCounts
    """Of all pages, of every state."""
    next: str | None
    """`cursor` of the next page; null on the last one."""


class ChunkInfo(Wire):
    """One chunk: what is embedded, searched and given to a model as a passage."""

    id: int
    """Grows in the order of documents and spans."""
    number: int
    """Counts the chunks of its document, from 1."""
    start: int
    """First character in the parsed document."""
    end: int
    """One past the last."""
    headings: list[str]
    """The titles above it, outermost first."""


class ChunkList(Wire):
    """`GET /v1/collections/{name}/chunks`: one page, in order."""

    document: str
    data: list[ChunkInfo]
    next: int | None
    """`cursor` of the next page; null on the last one."""


class DocumentText(Wire):
    """One document as it was parsed: spans count its characters."""

    document: str
    text: str
