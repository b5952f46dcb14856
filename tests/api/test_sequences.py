"""Sequences of requests, generated from the links between operations: made, read, changed, deleted.

Each is one that a client could send. What a step is answered must be no fault of ours, must be
what the OpenAPI document says, and what was deleted must be gone.
"""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.errors import Flaky
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import FailureGroup
from schemathesis.engine.errors import is_inconsistent_replay
from schemathesis.specs.openapi.checks import (
    negative_data_rejection,
    unsupported_method,
    use_after_free,
)

from benchmarks.soak import CONFIGURATION
from rag_adapt.adapters.store import AdapterStore
from rag_adapt.api.desk import Desk
from rag_adapt.api.limits import Limits
from rag_adapt.engines.scripted import ScriptedEngine
from rag_adapt.settings import Settings
from tests.api.at_once import AtOnce, desk_of
from tests.api.material import KNOWN, Make, Material, materials, question
from tests.api.parts import app_of, listening
from tests.api.test_openapi import CHECKS
from tests.serving.parts import HOME, imported, published
from tests.serving.parts import service as scripted_service

STEPS = 8
"""Requests of one sequence, at most."""
SEQUENCES = 40
"""Of one round."""
ROUNDS = 40
"""At most: one ends early where the service, which remembers, answers a repeated request anew."""
WANTED = 1000
SECONDS = 60
"""For one answer."""
PLAIN = [one for one in CHECKS if one not in (negative_data_rejection, unsupported_method)]
"""Of a request that was not generated."""
EVERY = 10
"""Requests between two looks at what lies there."""
TEXT, SENT = "POST /v1/collections/{name}/texts", "POST /v1/collections/{name}/documents"
ONE = "/v1/collections/{name}/documents/{document}"
FOLLOWED = {
    "collection": {
        "made": TEXT,
        "listed": "GET /v1/collections",
        "read": "GET /v1/collections/{name}/files",
        "changed": SENT,
        "deleted": "DELETE /v1/collections/{name}",
    },
    "document": {
        "made": SENT,
        "listed": "GET /v1/collections/{name}/documents",
        "read": f"GET {ONE}",
        "changed": f"POST {ONE}",
        "deleted": f"DELETE {ONE}",
    },
    "job": {
        "made": "POST /v1/adapters",
        "listed": "GET /v1/jobs",
        "read": "GET /v1/jobs/{id}",
        "changed": "POST /v1/jobs/{id}/cancel",
    },
    "run": {
        "made": "POST /v1/runs",
        "listed": "GET /v1/runs",
        "read": "GET /v1/runs/{id}",
        "reported": "GET /v1/runs/{id}/report",
    },
    "feedback": {
        "made": "POST /v1/feedback",
        "listed": "GET /v1/feedback",
        "read": "GET /v1/feedback/{id}",
        "changed": "POST /v1/feedback/{id}/reject",
        "deleted": "DELETE /v1/feedback/{id}",
    },
    "adapter": {
        "made": "POST /v1/adapters/upload",
        "listed": "GET /v1/adapters",
        "read": "GET /v1/adapters/{version}",
        "changed": "POST /v1/adapters/{version}/current",
        "deleted": "DELETE /v1/adapters/{version}",
    },
    "conversation": {
        "made": "POST /v1/conversations",
        "listed": "GET /v1/conversations",
        "read": "GET /v1/conversations/{id}",
        "changed": "POST /v1/conversations/{id}/turns",
        "deleted": "DELETE /v1/conversations/{id}",
    },
    "skill": {
        "made": "POST /v1/skills:import",
        "listed": "GET /v1/skills",
        "read": "GET /v1/skills/{name}",
        "checked": "GET /v1/skills/{name}/check",
    },
}
"""What begins here and is followed up, by kind."""


@dataclass(kw_only=True)
class Watch:
    """Looks at every request and answer, and gives some requests what they need to succeed."""

    desk: Desk
    engine: ScriptedEngine
    make: dict[str, Make]
    asked: int = 0
    wrong: list[str] = field(default_factory=list)
    good: Counter[str] = field(default_factory=Counter)
    """How often each operation did what it was asked, and found something where it lists."""
    seen: Counter[str] = field(default_factory=Counter)
    """How often each was asked within its schema."""
    filled: Counter[str] = field(default_factory=Counter)
    sent: dict[str, Any] = field(default_factory=dict)
    """Form and files of the request that comes next, where they were put in."""
    judged: str | None = None
    """The trace of the latest answer."""

    def before(self, case: Any) -> None:
        """Let it name what is there, and every other one do what it is for."""
        self.asked += 1
        self.sent = {}
        if case.meta.generation.mode.is_positive:
            self.seen[label := case.operation.label] += 1
            if isinstance(case.body, dict):
                self.name(case.body)
            if label in self.make and self.seen[label] % 2:
                self.fill(case, label)
        if self.asked % EVERY == 1:
            self.tidy()

    def name(self, body: dict[str, Any]) -> None:
        """Names that mean something, and every other time the trace of an answer."""
        body |= {name: KNOWN[name] for name in KNOWN if name in body}
        if "trace_id" in body:
            body["choice"] = 0
            if self.judged is not None and self.asked % 2:
                body["trace_id"] = self.judged

    def fill(self, case: Any, label: str) -> None:
        """Put material into a request."""
        material = self.make[label](self.filled[label])
        if self.filled[label] >= material.most:
            return
        self.filled[label] += 1
        if material.body is not None:
            case.body = dict(material.body)
        else:
            self.sent = {"data": dict(material.fields), "files": list(material.files)}
        self.place(case, material)

    def place(self, case: Any, material: Material) -> None:
        """Let the path name something new unless it names what is there."""
        if material.name is not None:
            there = (self.desk.home / "documents" / case.path_parameters["name"]).is_dir()
            case.path_parameters["name"] = case.path_parameters["name"] if there else material.name

    def tidy(self) -> None:
        """No more jobs are taken once many wait; and one adapter is always there."""
        for job in self.desk.jobs.list("queued"):
            self.desk.jobs.ask_to_cancel(job.id)
        if not AdapterStore(HOME).list():
            published(self.engine, fill=float(self.asked))

    def after(self, response: Any, case: Any, recorder: Any) -> None:
        """Remember what was wrong; the others are asked all the same."""
        label = case.operation.label
        self.good[label] += response.status_code < 300 and _found(response)
        if response.status_code == 200 and "x-trace-id" in response.headers:
            self.judged = response.headers["x-trace-id"][0]
        if response.status_code == 202:
            assert isinstance(self.desk.runner, AtOnce)
            self.desk.runner.work_off()
        checks = [*CHECKS, use_after_free] if recorder is not None else PLAIN
        try:
            case.validate_response(response, checks=checks, recorder=recorder)
        except FailureGroup as failures:
            said = f"{response.status_code} {failures.exceptions} {case.as_curl_command()}"
            self.wrong.append(f"{label}: {said[:2000]}")

    @property
    def missed(self) -> dict[str, dict[str, int]]:
        """Kinds of which a step was never reached, with what was."""
        counted = {
            kind: {step: self.good[label] for step, label in steps.items()}
            for kind, steps in FOLLOWED.items()
        }
        return {kind: counts for kind, counts in counted.items() if not all(counts.values())}


def _found(response: Any) -> bool:
    """Whether a list holds anything; true of everything else."""
    if "json" not in response.headers.get("content-type", [""])[0]:
        return True
    answered = json.loads(response.content)
    return not isinstance(answered, dict) or answered.get("data") != []


def client_of(document: dict[str, Any], address: str, watch: Watch) -> Any:
    """A machine whose rules are the links, and that asks the service at this address."""
    config = SchemathesisConfig.from_str(CONFIGURATION)
    schema = schemathesis.openapi.from_dict(document, config=config)
    schema.config.update(base_url=address)
    machine: Any = schema.as_state_machine()

    class Client(machine):  # type: ignore[misc]  # made at run time
        """What the machine calls around each request."""

        def before_call(self, case: Any) -> None:
            watch.before(case)

        def get_call_kwargs(self, case: Any) -> dict[str, Any]:
            return {"timeout": SECONDS, **watch.sent}

        def validate_response(self, response: Any, case: Any, **more: Any) -> None:
            watch.after(response, case, self.recorder)

    return Client


@dataclass(kw_only=True)
class Walk:
    """One of every kind, made and followed up as a client would: what is left lies there for the
    generated sequences."""

    schema: Any
    watch: Watch

    def step(self, kind: str, step: str, **path: str) -> Any:
        """One request of a kind's life; its answer."""
        method, place = (label := FOLLOWED[kind][step]).split(" ", 1)
        material = self.watch.make[label](0) if label in self.watch.make else Material()
        if label == FOLLOWED["feedback"]["made"]:
            material = Material(body={"trace_id": self.watch.judged, "vote": "up"})
        query = {"current": True} if label == FOLLOWED["adapter"]["deleted"] else {}
        return self.send(method, place, material, path, query)

    def send(
        self,
        method: str,
        place: str,
        material: Material,
        path: dict[str, str],
        query: dict[str, Any] | None = None,
    ) -> Any:
        """Send what was made of material, and look at the answer as at all others."""
        headers = {"X-Rag-Adapt": "1"} if material.files else {}
        body = {} if material.body is None else {"body": dict(material.body)}
        media = {"media_type": "application/json"} if body else {}
        case = self.schema[place][method].Case(
            path_parameters=path, query=query or {}, headers=headers, **body, **media
        )
        form = {"data": dict(material.fields), "files": list(material.files)}
        response = case.call(timeout=SECONDS, **(form if material.files else {}))
        self.watch.asked += 1
        self.watch.after(response, case, None)
        return json.loads(response.content)

    def go(self) -> None:
        """All of it; jobs are done at once."""
        talk = self.step("conversation", "made")["id"]
        self.follow("conversation", id=talk)
        self.send("POST", "/v1/chat/completions", question(0), {})
        self.follow("feedback", id=self.step("feedback", "made")["id"])
        self.step("collection", "made", name="made")
        self.step("document", "made", name="made")
        self.follow("document", name="made", document="notes.md")
        self.follow("collection", name="made")
        self.step("collection", "made", name="made-anew")
        self.step("run", "made")
        found = self.step("run", "listed")["data"][0]["id"]
        self.follow("run", id=found)
        self.follow("job", id=self.step("job", "made")["id"])
        self.step("adapter", "made")
        self.watch.tidy()
        version = self.step("adapter", "listed")["data"][0]["version"]
        self.follow("adapter", version=version)
        self.follow("skill", name=self.step("skill", "made")["name"])

    def follow(self, kind: str, **path: str) -> None:
        """Everything that comes after a beginning."""
        for step in FOLLOWED[kind]:
            wanted = {} if step == "listed" and kind != "document" else path
            if step != "made" and not (kind == "feedback" and step == "changed"):
                named = {n: v for n, v in wanted.items() if f"{{{n}}}" in FOLLOWED[kind][step]}
                self.step(kind, step, **named)
        if kind == "feedback":  # what was decided cannot be withdrawn
            self.step(kind, "changed", id=self.step(kind, "made")["id"])


def ask(client: Any, watch: Watch) -> None:
    """Round after round, until enough was asked."""
    limited = settings(
        max_examples=SEQUENCES,
        stateful_step_count=STEPS,
        phases=[Phase.generate],
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    for number in range(ROUNDS):
        if watch.asked < WANTED:
            try:
                seed(number)(client).run(settings=limited)
            except (Flaky, AssertionError) as error:
                if not (isinstance(error, Flaky) or is_inconsistent_replay(error)):
                    raise


def test_a_thousand_requests_in_sequences_break_neither_the_service_nor_its_schema(
    tiny_model: Path, tmp_path: Path
) -> None:
    imported()
    engine = ScriptedEngine()
    desk = desk_of(Settings(home=HOME, embedder="hashing", model=str(tiny_model), device="cpu"))
    limits = Limits(rate=100_000, burst=100_000)
    app = app_of(scripted_service(engine), desk=desk, limits=limits)
    watch = Watch(desk=desk, engine=engine, make=materials(tmp_path / "lora"))
    with listening(app) as address:
        client = client_of(app.openapi(), address, watch)
        Walk(schema=client.schema, watch=watch).go()
        assert not watch.missed, watch.missed
        ask(client, watch)
    assert not watch.wrong, "\n".join(watch.wrong[:10])
    assert watch.asked >= WANTED
    again = {kind: sum(watch.good[label] for label in FOLLOWED[kind].values()) for kind in FOLLOWED}
    assert all(again[kind] > len(FOLLOWED[kind]) for kind in FOLLOWED), (again, dict(watch.good))
