"""`/v1/feedback`: given by whoever asked, decided by others, exported without test items."""

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

from rag_adapt.api import feedback as endpoints
from rag_adapt.core.errors import EngineError
from rag_adapt.engines.scripted import ScriptedEngine, lookup
from rag_adapt.keys.key import Scope
from rag_adapt.keys.store import KeyStore
from rag_adapt.schemas.feedback import FeedbackInfo, FeedbackRequest
from tests.api.parts import chat, client_of
from tests.serving.parts import HOME, imported, published, service

QUESTION = "a bus of the north line: green"
ON_TEST = "test thing number 1: blue"
"""An item of the skill `colours`."""


@pytest.fixture
def client() -> TestClient:
    """A service with the skill `colours`; nobody needs a key."""
    imported()
    return client_of()


def asked(client: TestClient, model: str = "route:prompt/colours", *texts: str, **more: Any) -> str:
    """Ask, and hand out the trace's id."""
    said = texts or (QUESTION,)
    roles = ("user", "assistant")
    messages = [{"role": roles[n % 2], "content": text} for n, text in enumerate(said)]
    response = chat(client, model=model, messages=messages, **more)
    assert response.status_code == 200, response.text
    return str(response.json()["rag_adapt"]["trace_id"])


def give(client: TestClient, trace: str, **said: Any) -> Any:
    return client.post("/v1/feedback", json={"trace_id": trace, **(said or {"vote": "up"})})


def given(client: TestClient, trace: str, **said: Any) -> FeedbackInfo:
    response = give(client, trace, **said)
    assert response.status_code == 201, response.text
    return FeedbackInfo.model_validate(response.json())


def decide(client: TestClient, id: str, how: str = "accept") -> Any:
    return client.post(f"/v1/feedback/{id}/{how}")


def exported(client: TestClient, **query: str) -> list[Any]:
    response = client.get("/v1/feedback:export", params=query)
    assert response.status_code == 200, response.text
    return [json.loads(line) for line in response.text.splitlines()]


def problem(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


@pytest.mark.parametrize(
    ("model", "route", "skill"),
    [
        ("route:prompt/colours", "prompt", "colours"),
        ("route:rag/colours", "rag", "colours"),
        ("scripted", "plain", None),
    ],
)
def test_question_and_answer_are_copied(
    client: TestClient, model: str, route: str, skill: str | None
) -> None:
    entry = given(client, asked(client, model), vote="down", correction="green", note="look")
    assert (entry.state, entry.giver, entry.model) == ("pending", "local", model)
    assert (entry.route, entry.skill, entry.adapter) == (route, skill, None)
    assert (entry.question, entry.turns) == (QUESTION, [])
    assert (entry.vote, entry.correction, entry.note) == ("down", "green", "look")
    assert entry.answer
    assert client.get(f"/v1/feedback/{entry.id}").json() == entry.model_dump()


def test_turns_stand_apart_from_the_question(client: TestClient) -> None:
    entry = given(client, asked(client, "route:rag/colours", "a boat: red", "red", QUESTION))
    assert [(turn.role, turn.content) for turn in entry.turns] == [
        ("user", "a boat: red"),
        ("assistant", "red"),
    ]
    assert entry.question == QUESTION


def test_feedback_names_the_adapter_that_answered() -> None:
    imported()
    engine = ScriptedEngine()
    card = published(engine)
    client = client_of(service(engine))
    for model in ("route:lora/colours", f"route:lora/{card.version}"):
        entry = given(client, asked(client, model))
        assert (entry.route, entry.skill, entry.adapter) == ("lora", "colours", card.version)


def test_each_choice_is_judged_apart(client: TestClient) -> None:
    trace = asked(client, n=2)
    assert given(client, trace, choice=1, vote="up").choice == 1
    assert given(client, trace, choice=0, vote="down").choice == 0
    assert len(client.get("/v1/feedback").json()["data"]) == 2
    assert problem(give(client, trace, choice=2, vote="up")) == (404, "choice-not-found")


def test_a_second_vote_replaces_the_first_until_it_is_decided(client: TestClient) -> None:
    trace = asked(client)
    first = given(client, trace, vote="up")
    second = given(client, trace, vote="down")
    assert problem(decide(client, first.id)) == (404, "feedback-not-found")
    (only,) = client.get("/v1/feedback").json()["data"]
    assert (only["id"], only["vote"]) == (second.id, "down")
    assert decide(client, second.id).json()["state"] == "accepted"
    assert problem(give(client, trace)) == (409, "feedback")
    assert client.get(f"/v1/feedback/{second.id}").json()["state"] == "accepted"


@pytest.mark.parametrize(
    "body",
    [{}, {"note": "x"}, {"vote": "sideways"}, {"vote": "up", "choice": -1}, {"correction": ""}],
    ids=str,
)
def test_feedback_must_say_something(client: TestClient, body: dict[str, Any]) -> None:
    said = {"trace_id": asked(client), **body}
    assert problem(client.post("/v1/feedback", json=said)) == (400, "invalid-request")


def test_a_trace_that_is_not_there_cannot_be_judged(client: TestClient) -> None:
    assert problem(give(client, "f" * 32)) == (404, "trace-not-found")


def test_an_answer_that_failed_cannot_be_judged() -> None:
    imported()
    error = EngineError("the engine broke", hint="Start it again.")
    client = client_of(service(ScriptedEngine(failures={"Hello": error})))
    failed = chat(client, model="route:prompt/colours")
    response = give(client, failed.headers["X-Trace-Id"])
    assert problem(response) == (409, "feedback")
    assert "holds no answer" in response.json()["detail"]


def test_a_template_that_is_gone_leaves_the_question_unknown(client: TestClient) -> None:
    trace = asked(client)
    template = HOME / "skills" / "colours" / "templates" / "prompt.toml"
    template.write_text('system = "Another."\nuser = "{input}"\n')
    response = give(client, trace)
    assert problem(response) == (409, "feedback")
    assert "no longer has the template 'prompt'" in response.json()["detail"]


def test_a_skill_that_is_gone_leaves_the_question_unknown(client: TestClient) -> None:
    trace = asked(client)
    (HOME / "skills" / "colours").rename(HOME / "elsewhere")
    assert problem(give(client, trace)) == (409, "feedback")


def test_lists_are_filtered_and_come_in_pages(client: TestClient) -> None:
    made = [given(client, asked(client)) for _ in range(3)]
    plain = given(client, asked(client, "scripted"))
    decide(client, made[0].id, "reject")

    def ids(**query: Any) -> list[str]:
        found = client.get("/v1/feedback", params=query).json()["data"]
        return [entry["id"] for entry in found]

    assert ids() == [plain.id, made[2].id, made[1].id, made[0].id]
    assert ids(state="pending", skill="colours") == [made[2].id, made[1].id]
    assert ids(route="plain") == [plain.id]
    assert ids(state="rejected") == [made[0].id]
    first = client.get("/v1/feedback", params={"limit": 3}).json()
    last = client.get("/v1/feedback", params={"limit": 3, "cursor": first["next"]}).json()
    assert [entry["id"] for entry in last["data"]] == [made[0].id]
    assert last["next"] is None


@pytest.mark.parametrize(
    ("texts", "met"),
    [
        ((ON_TEST,), "question"),
        (("TEST thing, number 1:  Blue!",), "question"),
        ((ON_TEST, "blue", QUESTION), "turn"),
    ],
    ids=["word for word", "but for case and punctuation", "in an earlier turn"],
)
def test_a_test_item_is_never_learned_from(
    client: TestClient, texts: tuple[str, ...], met: str
) -> None:
    entry = given(client, asked(client, "route:prompt/colours", *texts), correction="blue")
    response = decide(client, entry.id)
    assert problem(response) == (409, "leak")
    assert f"its {met} is that of test item 'test-1'" in response.json()["detail"]
    assert client.get(f"/v1/feedback/{entry.id}").json()["state"] == "pending"
    assert decide(client, entry.id, "reject").status_code == 200


def test_a_plain_answer_is_compared_with_the_test_items_of_all_skills(client: TestClient) -> None:
    assert problem(decide(client, given(client, asked(client, "scripted", ON_TEST)).id))[1] == (
        "leak"
    )
    assert decide(client, given(client, asked(client, "scripted")).id).status_code == 200


def test_what_became_a_test_item_later_is_not_exported(client: TestClient) -> None:
    decide(client, given(client, asked(client), correction="green").id)
    assert len(exported(client)) == 1
    items = HOME / "skills" / "colours" / "items.jsonl"
    items.write_text(items.read_text().replace(ON_TEST, QUESTION))
    response = client.get("/v1/feedback:export")
    assert (response.text, response.headers["X-Left-Out"]) == ("", "1")


def test_what_was_accepted_comes_out_as_rows(client: TestClient) -> None:
    decide(client, given(client, asked(client), vote="down", correction="green").id)
    decide(client, given(client, asked(client, "scripted")).id)
    assert exported(client, skill="colours") == [{"input": QUESTION, "targets": ["green"]}]
    (row,) = exported(client, skill="colours", kind="preferences")
    assert row["prompt"] == [{"role": "user", "content": QUESTION}]
    assert row["chosen"] == [{"role": "assistant", "content": "green"}]
    assert row["rejected"][0]["content"] not in ("", "green")
    assert len(exported(client)) == 2
    assert exported(client, skill="ghost") == []


def test_votes_on_answers_side_by_side_become_a_preference() -> None:
    imported()
    engine = ScriptedEngine(lookup({"One of red, blue.": "green"}))
    client = client_of(service(engine))
    models = ["route:prompt/colours", "route:rag/colours"]
    asked = client.post("/v1/comparisons", json={"models": models, "question": QUESTION})
    traces = [one["answer"]["rag_adapt"]["trace_id"] for one in asked.json()["data"]]
    for trace, vote in zip(traces, ("down", "up"), strict=True):
        assert decide(client, given(client, trace, vote=vote).id).status_code == 200
    (row,) = exported(client, kind="preferences")
    assert row["chosen"] == [{"role": "assistant", "content": "green"}]
    assert row["rejected"] == [{"role": "assistant", "content": "a bus of the north line:"}]


def test_a_decision_can_be_taken_back(client: TestClient) -> None:
    entry = given(client, asked(client), correction="green")
    accepted = decide(client, entry.id).json()
    assert (accepted["state"], accepted["decider"]) == ("accepted", "local")
    assert decide(client, entry.id).json() == accepted
    assert decide(client, entry.id, "reject").json()["state"] == "rejected"
    assert exported(client) == []


def test_what_waits_can_be_withdrawn_and_what_is_decided_cannot(client: TestClient) -> None:
    first, second = (given(client, asked(client)) for _ in range(2))
    assert client.delete(f"/v1/feedback/{first.id}").json()["id"] == first.id
    assert problem(client.get(f"/v1/feedback/{first.id}")) == (404, "feedback-not-found")
    assert problem(client.delete(f"/v1/feedback/{first.id}")) == (404, "feedback-not-found")
    decide(client, second.id)
    assert problem(client.delete(f"/v1/feedback/{second.id}")) == (409, "feedback")


def test_everybody_sees_and_judges_their_own_and_bench_sees_all() -> None:
    imported()
    store, app = KeyStore(HOME), client_of().app

    def caller(name: str, scope: Scope) -> TestClient:
        token = store.create(name, scope).token.reveal()
        headers = {"Authorization": f"Bearer {token}"}
        return TestClient(app, base_url="http://127.0.0.1", headers=headers)

    ann, bob = caller("ann", "chat"), caller("bob", "chat")
    bench, admin = caller("bench", "bench"), caller("admin", "admin")
    trace = asked(ann)
    for other in (bob, bench, admin):
        assert problem(give(other, trace)) == (404, "trace-not-found")
    entry = given(ann, trace)
    assert bob.get("/v1/feedback").json()["data"] == []
    for verb in ("get", "delete"):
        assert problem(bob.request(verb, f"/v1/feedback/{entry.id}")) == (
            404,
            "feedback-not-found",
        )
    assert problem(decide(ann, entry.id)) == (403, "scope")
    assert ann.get("/v1/feedback:export").status_code == 403
    assert [e["id"] for e in bench.get("/v1/feedback").json()["data"]] == [entry.id]
    assert problem(bench.delete(f"/v1/feedback/{entry.id}")) == (403, "not-yours")
    assert decide(bench, entry.id).json()["decider"] != entry.giver
    assert ann.get(f"/v1/feedback/{entry.id}").json()["state"] == "accepted"


def test_the_examples_are_valid() -> None:
    assert FeedbackRequest.model_validate(endpoints.GIVEN)
    assert FeedbackInfo.model_validate(endpoints.ENTRY)
