"""Every operation of the service has a call in the client, which asks it as it is documented."""

import json
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

import httpx
import pytest

from rag_adapt.client import ApiError, Client, Upload
from rag_adapt.client.streams import Stream
from rag_adapt.schemas.adapters import TrainRequest
from rag_adapt.schemas.collections import SearchRequest, TextOrder
from rag_adapt.schemas.comparisons import ComparisonRequest
from rag_adapt.schemas.conversations import ConversationRequest, TurnRequest
from rag_adapt.schemas.feedback import FeedbackRequest
from rag_adapt.schemas.imports import ImportMapping
from rag_adapt.schemas.requests import ChatMessage, ChatRequest, CompletionRequest
from rag_adapt.schemas.runs import RunRequest
from rag_adapt.schemas.skills import RenderRequest, TemplateOrder
from tests.api.parts import app_of

CHAT = ChatRequest(model="scripted", messages=[ChatMessage(role="user", content="Hello")])
RUN = RunRequest(skills=["colours"])
FILE = Upload(name="a.md", content=b"# A")
TEMPLATE = TemplateOrder(system="", user="{input}", replaces="0" * 12)
VERSION = "orders@e8275acfcb4e"
CALLS: Final[dict[str, Callable[[Client], object]]] = {
    "chat": lambda c: c.answers.chat(CHAT),
    "complete": lambda c: c.answers.complete(CompletionRequest(model="scripted", prompt="x")),
    "compare": lambda c: c.answers.compare(ComparisonRequest(models=["a", "b"], question="x")),
    "trace": lambda c: c.answers.trace("5b1f"),
    "models": lambda c: c.catalog.models(),
    "model": lambda c: c.catalog.model("scripted"),
    "health": lambda c: c.catalog.health(),
    "ready": lambda c: c.catalog.ready(),
    "metrics": lambda c: c.catalog.metrics(),
    "give_feedback": lambda c: c.feedback.give(FeedbackRequest(trace_id="5b1f", vote="up")),
    "feedback": lambda c: c.feedback.page(
        state="pending", skill="s", route="rag", limit=5, cursor="7"
    ),
    "one_feedback": lambda c: c.feedback.show("x"),
    "withdraw_feedback": lambda c: c.feedback.withdraw("x"),
    "accept_feedback": lambda c: c.feedback.accept("x"),
    "reject_feedback": lambda c: c.feedback.reject("x"),
    "export_feedback": lambda c: c.feedback.export("preferences", skill="s"),
    "create_conversation": lambda c: c.conversations.create(ConversationRequest(skill="colours")),
    "conversations": lambda c: c.conversations.page(limit=5, cursor="7"),
    "conversation": lambda c: c.conversations.show("x"),
    "rename_conversation": lambda c: c.conversations.rename("x", "A title"),
    "delete_conversation": lambda c: c.conversations.delete("x"),
    "ask": lambda c: c.conversations.ask("x", TurnRequest(question="why")),
    "edit": lambda c: c.conversations.edit("x", "y", TurnRequest(question="why")),
    "again": lambda c: c.conversations.again("x", "y", model="scripted"),
    "generation": lambda c: c.conversations.generation("x", "y"),
    "cancel_generation": lambda c: c.conversations.cancel("x", "y"),
    "generation_events": lambda c: c.conversations.watch("x", "y", after=3),
    "quotations": lambda c: c.collections.quotations("manual"),
    "delete_collection": lambda c: c.collections.delete("manual"),
    "system": lambda c: c.catalog.system(),
    "jobs": lambda c: c.jobs.page(state="running", limit=5, cursor="0" * 32),
    "job": lambda c: c.jobs.show("0" * 32),
    "cancel": lambda c: c.jobs.cancel("0" * 32),
    "job_events": lambda c: c.jobs.watch("0" * 32),
    "plan_run": lambda c: c.runs.plan(RUN),
    "start_run": lambda c: c.runs.start(RUN),
    "runs": lambda c: c.runs.page(limit=5, cursor="x"),
    "run_progress": lambda c: c.runs.progress("x"),
    "resume_run": lambda c: c.runs.resume("x"),
    "run": lambda c: c.runs.show("x"),
    "report": lambda c: c.runs.report_document("x"),
    "report_page": lambda c: c.runs.report_page("x"),
    "answers": lambda c: c.runs.answers_page(
        "x", skill="s", arm="rag", alone=True, traces=True, limit=5, cursor="7"
    ),
    "compare_runs": lambda c: c.runs.compare("x", "y"),
    "skills": lambda c: c.skills.all(),
    "skill": lambda c: c.skills.show("colours"),
    "check_skill": lambda c: c.skills.check("colours"),
    "import_skill": lambda c: c.skills.add(
        FILE, ImportMapping(name="mine", input="question", skip_bad=True), documents=[FILE]
    ),
    "template": lambda c: c.skills.template("colours", "prompt"),
    "store_template": lambda c: c.skills.store_template("colours", "prompt", TEMPLATE),
    "render": lambda c: c.skills.render(RenderRequest(skill="colours", input="x")),
    "collections": lambda c: c.collections.all(),
    "search": lambda c: c.collections.search("manual", SearchRequest(query="x")),
    "documents": lambda c: c.collections.documents_page("manual", limit=5, cursor="a.md"),
    "document": lambda c: c.collections.document("manual", "a.md"),
    "files": lambda c: c.collections.files_page("manual", state="failed", limit=5, cursor="a.md"),
    "chunks": lambda c: c.collections.chunks_page("manual", "a.md", limit=5, cursor=7),
    "retry_document": lambda c: c.collections.retry("manual", "a.md"),
    "add_documents": lambda c: c.collections.add("manual", [FILE]),
    "add_text": lambda c: c.collections.add_text("manual", TextOrder(name="a", text="b")),
    "delete_document": lambda c: c.collections.remove("manual", "a.md"),
    "adapters": lambda c: c.adapters.all(),
    "adapter": lambda c: c.adapters.show(VERSION),
    "train": lambda c: c.adapters.train(TrainRequest(skill="orders")),
    "training": lambda c: c.adapters.training("0" * 32),
    "upload_adapter": lambda c: c.adapters.upload(
        [FILE], name="mine", skill="orders", context=True
    ),
    "resident_adapters": lambda c: c.adapters.resident(),
    "load_adapter": lambda c: c.adapters.load(VERSION),
    "unload_adapter": lambda c: c.adapters.unload(VERSION),
    "pin_adapter": lambda c: c.adapters.pin(VERSION),
    "unpin_adapter": lambda c: c.adapters.unpin(VERSION),
    "prove": lambda c: c.adapters.prove(VERSION),
    "set_current": lambda c: c.adapters.make_current(VERSION),
    "delete_adapter": lambda c: c.adapters.delete(VERSION, current=True),
}
"""By operation id: one call, which asks that operation."""
STREAMED: Final[dict[str, Callable[[Client], Stream[Any]]]] = {
    "chat": lambda c: c.answers.chat_stream(CHAT),
    "complete": lambda c: c.answers.complete_stream(CompletionRequest(model="m", prompt="x")),
    "compare": lambda c: c.answers.compare_stream(ComparisonRequest(models=["a"], question="x")),
    "job_events": lambda c: c.jobs.watch("0" * 32),
    "generation_events": lambda c: c.conversations.watch("x", "y", after=7),
}
"""Those that answer with events."""


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One operation as the service's own document has it."""

    method: str
    path: str
    said: dict[str, Any]

    @property
    def answered(self) -> tuple[int, dict[str, Any]]:
        """Status and content of its good answer."""
        ((status, good),) = [(s, r) for s, r in self.said["responses"].items() if s < "300"]
        return int(status), good["content"]

    def parameters(self, place: str) -> dict[str, bool]:
        """Name, and whether it must be there."""
        found = [p for p in self.said.get("parameters", ()) if p["in"] == place]
        return {p["name"]: bool(p.get("required")) for p in found}


@cache
def document() -> dict[str, Any]:
    """The service's own description."""
    return app_of().openapi()


@cache
def operations() -> dict[str, Operation]:
    """By operation id."""
    return {
        said["operationId"]: Operation(method=method.upper(), path=path, said=said)
        for path, methods in document()["paths"].items()
        for method, said in methods.items()
    }


@dataclass
class Recorder(httpx.BaseTransport):
    """Answers every request alike, and remembers it."""

    status: int = 418
    content_type: str = "application/json"
    content: str = "{}"
    seen: list[httpx.Request] = field(default_factory=list)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.seen.append(request)
        headers = {"Content-Type": self.content_type}
        return httpx.Response(self.status, headers=headers, text=self.content)


def asked(name: str, calls: dict[str, Callable[[Client], Any]]) -> httpx.Request:
    """The request that a call makes."""
    recorder = Recorder()
    with Client(transport=recorder) as client, suppress(ApiError):
        found = calls[name](client)
        assert isinstance(found, Stream), "an error was not raised"
        next(found)
    (request,) = recorder.seen
    return request


def test_every_operation_has_a_call_and_no_call_has_none() -> None:
    assert set(CALLS) == set(operations())


def test_every_operation_that_streams_has_a_stream() -> None:
    streaming = {
        name for name, one in operations().items() if "text/event-stream" in one.answered[1]
    }
    assert set(STREAMED) == streaming


@pytest.mark.parametrize("name", sorted(CALLS))
def test_a_call_asks_its_operation_as_it_is_documented(name: str) -> None:
    operation = operations()[name]
    for request in [asked(name, table) for table in (CALLS, STREAMED) if name in table]:
        assert request.method == operation.method
        assert re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", operation.path), request.url.path)
        assert set(request.url.params) <= set(operation.parameters("query"))
        for header in operation.parameters("header"):
            assert header in request.headers, header
        if (body := operation.said.get("requestBody")) is not None:
            kind = request.headers["content-type"].split(";")[0]
            assert kind in body["content"]


@pytest.mark.parametrize("name", sorted(set(CALLS) - {"job_events", "generation_events"}))
def test_the_documented_answer_is_understood(name: str) -> None:
    status, content = operations()[name].answered
    kind = next(kind for kind in content if kind != "text/event-stream")
    example = content[kind]["example"]
    if kind == "application/json":
        example = json.dumps(with_nulls(content[kind]["schema"], example))
    with Client(transport=Recorder(status=status, content_type=kind, content=example)) as client:
        found = CALLS[name](client)
    assert found or example == '{"data": []}'


def with_nulls(schema: dict[str, Any], example: Any) -> Any:
    """The framework leaves nulls out of its document's examples: here they are again."""
    schema = next((one for one in schema.get("anyOf", ()) if one.get("type") != "null"), schema)
    if "$ref" in schema:
        schema = document()["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if isinstance(example, list):
        return [with_nulls(schema.get("items", {}), one) for one in example]
    if not isinstance(example, dict):
        return example
    properties = schema.get("properties", {})
    found = {name: with_nulls(properties.get(name, {}), one) for name, one in example.items()}
    return {**dict.fromkeys(schema.get("required", ())), **found}
