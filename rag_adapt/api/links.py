"""What may be asked next with what an answer holds, as OpenAPI links: made, read, deleted.

It does not know the operations themselves; a link to one that is not mounted is left out.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fastapi import FastAPI

ID: Final = {"id": "$response.body#/id"}
FIRST: Final = {"id": "$response.body#/data/0/id"}
SAME: Final = {"id": "$request.path.id"}
NAME: Final = {"name": "$response.body#/data/0/name"}
SAME_NAME: Final = {"name": "$request.path.name"}
VERSION: Final = {"version": "$response.body#/data/0/version"}
SAME_VERSION: Final = {"version": "$request.path.version"}
TURN: Final = {**SAME, "turn": "$response.body#/id"}
GENERATION: Final = {**SAME, "generation": "$response.body#/generations/0/id"}
TRACE: Final = {"id": "$response.body#/rag_adapt/trace_id"}
JUDGED: Final = {"trace_id": "$response.body#/rag_adapt/trace_id"}

JOB: Final = ("job", "cancel", "job_events")
CONVERSATION: Final = ("conversation", "rename_conversation", "ask", "delete_conversation")
ANSWERING: Final = ("generation", "generation_events", "cancel_generation")
JUDGEMENT: Final = (
    *("one_feedback", "accept_feedback", "reject_feedback"),
    "withdraw_feedback",
)
RUN: Final = ("run", "run_progress", "report", "report_page", "answers", "resume_run")
SKILL: Final = ("skill", "check_skill")
COLLECTION: Final = (
    *("search", "documents", "files", "chunks", "add_text"),
    "delete_collection",
)
ADAPTER: Final = (
    *("adapter", "load_adapter", "unload_adapter", "pin_adapter", "unpin_adapter", "prove"),
    *("set_current", "delete_adapter"),
)

NEXT: Final[tuple[tuple[str, tuple[str, ...], Mapping[str, str]], ...]] = (
    ("create_conversation", CONVERSATION, ID),
    ("conversations", CONVERSATION, FIRST),
    ("rename_conversation", ("conversation", "delete_conversation"), SAME),
    ("delete_conversation", ("conversation", "ask"), SAME),
    ("ask", ("edit", "again"), TURN),
    *((asked, ANSWERING, GENERATION) for asked in ("ask", "edit", "again")),
    *((asked, ("trace",), TRACE) for asked in ("chat", "complete")),
    ("give_feedback", JUDGEMENT, ID),
    ("feedback", JUDGEMENT, FIRST),
    ("accept_feedback", ("withdraw_feedback", "one_feedback"), SAME),
    ("withdraw_feedback", ("one_feedback",), SAME),
    *((order, JOB, ID) for order in ("start_run", "train", "prove", "add_text", "add_documents")),
    *((order, JOB, ID) for order in ("resume_run", "upload_adapter", "retry_document")),
    ("delete_document", JOB, ID),
    ("train", ("training",), ID),
    ("start_run", ("runs",), {"job": "$response.body#/id"}),
    ("jobs", JOB, FIRST),
    ("cancel", ("job", "job_events"), SAME),
    ("runs", RUN, FIRST),
    ("runs", ("compare_runs",), {"a": FIRST["id"], "b": FIRST["id"]}),
    ("skills", SKILL, NAME),
    ("import_skill", SKILL, {"name": "$response.body#/name"}),
    ("skill", ("check_skill",), SAME_NAME),
    (
        "render",
        ("template",),
        {"name": "$response.body#/skill", "template": "$response.body#/template"},
    ),
    ("template", ("store_template",), {**SAME_NAME, "template": "$request.path.template"}),
    ("collections", COLLECTION, NAME),
    ("add_text", ("search", "files", "delete_collection"), SAME_NAME),
    (
        "documents",
        ("document", "delete_document"),
        {**SAME_NAME, "document": "$response.body#/data/0"},
    ),
    ("files", ("retry_document",), {**SAME_NAME, "document": "$response.body#/data/0/document"}),
    ("delete_collection", ("documents",), SAME_NAME),
    ("models", ("model",), {"model": "$response.body#/data/0/id"}),
    ("adapters", ADAPTER, VERSION),
    ("load_adapter", ("unload_adapter", "delete_adapter"), SAME_VERSION),
    ("pin_adapter", ("unpin_adapter", "unload_adapter"), SAME_VERSION),
)
"""After which operation which others may be asked, and where their parameters come from."""
JUDGE: Final = ("chat", "complete")
"""Whose answers can be judged: their trace goes into the body of `give_feedback`."""


@dataclass(frozen=True, kw_only=True)
class Link:
    """One step of a sequence."""

    source: str
    """Operation whose answer is read."""
    target: str
    """Operation that may be asked then."""
    parameters: Mapping[str, str]
    """Runtime expressions, by parameter of the target."""
    body: Mapping[str, str] | None = None
    """The same for fields of the target's body."""

    def described(self) -> dict[str, Any]:
        """The Link Object of OpenAPI."""
        body = {} if self.body is None else {"requestBody": dict(self.body)}
        return {"operationId": self.target, "parameters": dict(self.parameters), **body}


def links() -> Iterator[Link]:
    """All of them."""
    for source, targets, parameters in NEXT:
        for target in targets:
            yield Link(source=source, target=target, parameters=parameters)
    for source in JUDGE:
        yield Link(source=source, target="give_feedback", parameters={}, body=JUDGED)


def install(app: FastAPI) -> None:
    """Put the links into the app's OpenAPI document, at each operation's good answer."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        document = plain()
        operations = {
            operation["operationId"]: operation
            for path in document.get("paths", {}).values()
            for operation in path.values()
        }
        for link in links():
            if link.source in operations and link.target in operations:
                good = min(operations[link.source]["responses"])
                described = operations[link.source]["responses"][good].setdefault("links", {})
                described[link.target] = link.described()
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI documents it
