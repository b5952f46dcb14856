"""Everything that can be asked of the real service, asked through the client by subject."""

import io
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rag_adapt.api.desk import Desk
from rag_adapt.api.imports import ImportForm
from rag_adapt.bench.store import list_runs
from rag_adapt.client import ApiError, Client, Reconnect, Upload, filled
from rag_adapt.engines.scripted import ScriptedEngine
from rag_adapt.schemas.adapters import TrainRequest
from rag_adapt.schemas.collections import SearchRequest
from rag_adapt.schemas.comparisons import Compared, ComparedDelta, ComparisonRequest
from rag_adapt.schemas.feedback import FeedbackRequest
from rag_adapt.schemas.imports import ImportMapping
from rag_adapt.schemas.jobs import JobInfo
from rag_adapt.schemas.requests import ChatMessage, ChatRequest
from rag_adapt.schemas.runs import RunRequest
from rag_adapt.schemas.skills import RenderRequest
from tests.api.parts import SETTINGS, app_of
from tests.api.test_runs import ORDER
from tests.api.test_streaming import Slow
from tests.api.working import idle_desk
from tests.client.parts import client_of, finished, free_port, killed_at
from tests.serving.parts import HOME, benched, imported, published, service
from tests.waiting import wait_until

SUMS = "question,answer\n" + "".join(f"What is {n} plus 1?,{n + 1}\n" for n in range(12))
LAMP = Upload(name="lamp.md", content=b"# Lamp\n\nThe lamp gives 900 lm.\n")
KETTLE = Upload(name="kettle.md", content=io.BytesIO(b"# Kettle\n\nIt holds two litres.\n"))


@pytest.fixture
def desk() -> Desk:
    """Jobs wait, unless a test's application runs them."""
    return idle_desk()


@pytest.fixture
def client() -> Iterator[Client]:
    """Of a service that runs our own commands."""
    with client_of(app_of(service(ScriptedEngine()), desk=Desk.of(SETTINGS))) as made:
        yield made


def test_the_service_says_what_it_is(client: Client) -> None:
    imported()
    names = [model.id for model in client.catalog.models()]
    assert {"scripted", "route:rag/colours"} <= set(names)
    assert client.catalog.model("route:rag/colours").id == "route:rag/colours"
    assert client.catalog.health().status == "ok"
    assert client.catalog.ready().ready
    assert "rag_adapt_requests_total" in client.catalog.metrics()
    system = client.catalog.system()
    assert system.engine.engine == "scripted"
    assert system.findings


def test_a_part_that_is_not_ready_is_an_answer_and_no_error() -> None:
    app = app_of(service(ScriptedEngine()))
    app.state.desk = idle_desk()
    with client_of(app) as client:
        state = client.catalog.ready()
    assert not state.ready
    assert {part.name: part.ready for part in state.parts}["jobs"] is False


def test_a_skill_is_imported_with_its_columns_checked_and_rendered(client: Client) -> None:
    mapping = ImportMapping(
        name="sums", input="question", target="answer", split_ratio="0.5/0.25/0.25", seed=3
    )
    file = Upload(name="sums.csv", content=SUMS.encode())
    made = client.skills.add(file, mapping, documents=[LAMP, KETTLE])
    assert (made.name, made.rows, sum(made.items.values())) == ("sums", 12, 12)
    assert "sums" in [skill.name for skill in client.skills.all()]
    assert client.skills.show("sums").documents
    check = client.skills.check("sums")
    assert (check.sound, check.documents) == (True, 2)
    rendered = client.skills.render(RenderRequest(skill="sums", input="What is 1 plus 1?"))
    assert "What is 1 plus 1?" in rendered.messages[-1].content
    with pytest.raises(ApiError) as taken:
        client.skills.add(file, mapping)
    assert (taken.value.status, taken.value.code) == (409, "skill-exists")


def test_rows_that_are_bad_are_left_out_where_that_is_asked_for(client: Client) -> None:
    file = Upload(name="sums.csv", content=io.BytesIO(f"{SUMS}alone\n".encode()))
    strict = ImportMapping(name="sums", input="question", target="answer")
    with pytest.raises(ApiError):
        client.skills.add(file, strict)
    made = client.skills.add(file, strict.model_copy(update={"skip_bad": True}))
    assert len(made.left_out) == 1


def test_a_mapping_has_every_field_of_the_upload_but_its_files() -> None:
    fields = {name: one.default for name, one in ImportForm.model_fields.items()}
    told = {name: one.default for name, one in ImportMapping.model_fields.items()}
    assert told == {name: one for name, one in fields.items() if name not in ("file", "documents")}


def test_documents_are_added_indexed_searched_read_and_removed(client: Client) -> None:
    job = finished(client, client.collections.add("manual", [LAMP, KETTLE]).id)
    assert (job.state, job.error) == ("done", None)
    (entry,) = client.collections.all()
    assert (entry.name, entry.documents, entry.changeable) == ("manual", 2, True)
    assert list(client.collections.documents("manual")) == ["kettle.md", "lamp.md"]
    first = client.collections.documents_page("manual", limit=1)
    second = client.collections.documents_page("manual", limit=1, cursor=first.next)
    assert (first.data, second.data, second.next) == (["kettle.md"], ["lamp.md"], None)
    hit = client.collections.search("manual", SearchRequest(query="how many litres", k=1)).data[0]
    text = client.collections.document("manual", hit.document).text
    assert text[hit.start : hit.end] == hit.text
    assert client.collections.remove("manual", "lamp.md").command[:2] == ["index", "build"]
    with pytest.raises(ApiError) as missing:
        client.collections.document("manual", "no/lamp.md")
    assert missing.value.code == "document-not-found"


def test_a_run_is_planned_and_started_and_watched_to_its_end(desk: Desk) -> None:
    imported()
    order = filled(RunRequest, **ORDER)
    with client_of(app_of(service(ScriptedEngine()), desk=desk)) as client:
        assert client.runs.plan(order).data[0].answers == 12
        job = client.runs.start(order)
        assert job.command[:2] == ["bench", "--json"]
        looks = list(client.jobs.watch(job.id))
        assert (looks[-1].state, looks[-1].error) == ("done", None)
        assert client.jobs.show(job.id) == looks[-1] == client.jobs.result(job.id)


def test_runs_are_listed_shown_reported_and_compared(client: Client) -> None:
    imported()
    benched()
    (kept,) = list_runs(HOME / "runs")
    newer, older = f"9{kept.path.name}", kept.path.name
    shutil.copytree(kept.path, kept.path.with_name(newer))
    assert [run.id for run in client.runs.all()] == [newer, older]
    assert client.runs.page(limit=1).next == newer
    assert client.runs.show(older).state == "complete"
    report = client.runs.report(older)
    assert [arm.arm for arm in report.arms] == ["prompt", "rag"]
    assert client.runs.report_document(older)["schema_version"] == report.schema_version
    assert client.runs.report_page(older).startswith(b"<!doctype html>")
    compared = client.runs.compare(older, newer)
    assert {arm.arm for arm in compared.arms} == {"prompt", "rag"}
    with pytest.raises(ApiError) as missing:
        client.runs.show("ghost")
    assert missing.value.code == "run-not-found"


def test_answers_of_a_run_are_read_over_pages_with_and_without_traces(client: Client) -> None:
    imported()
    benched()
    (run,) = client.runs.page().data
    whole = list(client.runs.answers(run.id))
    page = client.runs.answers_page(run.id, limit=5)
    more = client.runs.answers_page(run.id, limit=500, cursor=page.next)
    assert whole == [*page.data, *more.data]
    assert len(whole) == 12
    traced = list(client.runs.answers(run.id, skill="colours", arm="rag", traces=True))
    assert {row.arm for row in traced} == {"rag"}
    assert traced[0].trace["events"][0]["name"] == "retrieve"


def test_a_report_of_another_version_is_given_as_it_is(client: Client) -> None:
    imported()
    benched()
    (run,) = client.runs.page().data
    file = Path(HOME / "runs" / run.id / "report.json")
    file.write_text(json.dumps({"schema_version": "9.0", "rows": []}))
    with pytest.raises(ApiError) as unread:
        client.runs.report(run.id)
    assert unread.value.code == "unreadable-answer"
    assert client.runs.report_document(run.id) == {"schema_version": "9.0", "rows": []}


def test_jobs_are_listed_over_pages_and_cancelled(desk: Desk) -> None:
    made = [desk.jobs.submit(["bench", f"beats={n}"]).id for n in range(5)]
    app = app_of(service(ScriptedEngine()), desk=desk)
    desk.runner.start = lambda: None  # type: ignore[method-assign]  # they shall wait
    with client_of(app) as client:
        assert [job.id for job in client.jobs.all()] == made[::-1]
        first = client.jobs.page(limit=2)
        assert [job.id for job in first.data] == made[:2:-1]
        assert [j.id for j in client.jobs.page(limit=2, cursor=first.next).data] == made[2:0:-1]
        assert client.jobs.cancel(made[0]).state == "cancelled"
        assert [job.id for job in client.jobs.all(state="cancelled")] == [made[0]]
        assert client.jobs.result(made[0]).state == "cancelled"


def test_one_key_makes_one_job(client: Client) -> None:
    imported()
    order = filled(RunRequest, **ORDER)
    assert client.runs.start(order, key="once").id == client.runs.start(order, key="once").id
    assert len(list(client.jobs.all())) == 1
    with pytest.raises(ApiError) as other:
        client.runs.start(filled(RunRequest, **ORDER, seed=1), key="once")
    assert (other.value.status, other.value.code) == (409, "job")


def test_a_watched_job_is_left_alone_by_whoever_stops_watching(desk: Desk) -> None:
    job = desk.jobs.submit(["bench", "beats=1000"])
    with client_of(app_of(service(ScriptedEngine()), desk=desk)) as client:
        stream = client.jobs.watch(job.id, reconnect=Reconnect(patience=0))
        seen: list[JobInfo] = []
        reader = threading.Thread(target=lambda: seen.extend(stream))
        reader.start()
        wait_until(lambda: any(look.progress for look in seen))
        stream.close()
        reader.join(timeout=30)
        assert not reader.is_alive()
        assert client.jobs.show(job.id).state == "running"


def test_adapters_are_listed_shown_chosen_and_deleted(client: Client) -> None:
    imported()
    engine = ScriptedEngine()
    old, new = (published(engine, fill=fill).version for fill in (1.0, 2.0))
    assert {one.version: one.current for one in client.adapters.all()} == {old: False, new: True}
    assert client.adapters.show(old).skill == "colours"
    assert client.adapters.make_current(old).current == old
    with pytest.raises(ApiError) as used:
        client.adapters.delete(old)
    assert (used.value.status, used.value.code) == (409, "adapter-in-use")
    assert client.adapters.delete(new).version == new
    assert client.adapters.delete(old, current=True).version == old
    with pytest.raises(ApiError) as untrainable:
        client.adapters.train(TrainRequest(skill="colours"))
    assert untrainable.value.code == "adapter"


def test_a_watched_job_is_seen_to_its_end_over_a_restart_of_the_service(desk: Desk) -> None:
    job, port = desk.jobs.submit(["bench"]), free_port()
    desk.runner.start = lambda: None  # type: ignore[method-assign]  # it shall wait
    app = app_of(service(ScriptedEngine()), desk=desk)
    seen: list[JobInfo] = []
    with Client(f"http://127.0.0.1:{port}") as client:
        watch = client.jobs.watch(job.id, reconnect=Reconnect(pause=0.05, patience=30))
        reader = threading.Thread(target=lambda: seen.extend(watch))
        with killed_at(port, app):
            reader.start()
            wait_until(lambda: len(seen) == 1)
        with pytest.raises(ApiError):
            client.catalog.health()
        with killed_at(port, app_of(service(ScriptedEngine()), desk=desk)):
            assert client.jobs.cancel(job.id).state == "cancelled"
            reader.join(timeout=30)
    assert not reader.is_alive()
    assert [look.state for look in seen] == ["queued", "cancelled"]


def test_a_proof_is_a_job(desk: Desk) -> None:
    imported()
    version = published(ScriptedEngine()).version
    with client_of(app_of(service(ScriptedEngine()), desk=desk)) as client:
        job = client.adapters.prove(version)
        assert job.command[:2] == ["adapters", "prove"]
        assert finished(client, job.id).state == "done"


def test_several_models_are_asked_at_once_and_one_that_fails_leaves_the_others_alone(
    client: Client,
) -> None:
    imported()
    models = ["route:rag/colours", "route:prompt/ghost", "scripted"]
    asked = ComparisonRequest(models=models, question="thing number 1")
    whole = client.answers.compare(asked).data
    assert [one.model for one in whole] == models
    assert whole[0].answer is not None
    assert whole[0].answer.rag_adapt.citations
    assert whole[1].failure is not None
    assert whole[1].failure.code == "model-not-found"
    parts = list(client.answers.compare_stream(asked))
    ends = {one.index: one for one in parts if isinstance(one, Compared)}
    assert set(ends) == {0, 1, 2}
    said = [one for one in parts if isinstance(one, ComparedDelta) and one.index == 2]
    assert "".join(one.text for one in said) == "thing number 1"


def test_a_comparison_that_is_left_cancels_every_answer() -> None:
    slow = Slow()
    with client_of(app_of(service(slow))) as client:
        asked = ComparisonRequest(models=["scripted"], question="x")
        with client.answers.compare_stream(asked) as stream:
            assert isinstance(next(stream), ComparedDelta)
        wait_until(lambda: slow.cut_off)


def test_feedback_is_given_replaced_decided_withdrawn_and_exported(client: Client) -> None:
    imported()

    def judged(question: str) -> FeedbackRequest:
        message = ChatMessage(role="user", content=question)
        answer = client.answers.chat(ChatRequest(model="route:prompt/colours", messages=[message]))
        return FeedbackRequest(
            trace_id=answer.rag_adapt.trace_id, vote="down", correction="teal", note="really"
        )

    first = client.feedback.give(judged("a question that nobody tests"))
    second = client.feedback.give(judged("another one, of no test either"))
    third = client.feedback.give(judged("something else altogether"))
    assert [one.id for one in client.feedback.all()] == [third.id, second.id, first.id]
    page = client.feedback.page(state="pending", skill="colours", route="prompt", limit=1)
    assert page.data == [third]
    assert client.feedback.show(first.id).question == "a question that nobody tests"
    assert client.feedback.accept(first.id).state == "accepted"
    assert client.feedback.reject(second.id).state == "rejected"
    assert client.feedback.withdraw(third.id).id == third.id
    rows = client.feedback.export(skill="colours")
    assert rows.left_out == 0
    assert json.loads(rows.lines)["targets"] == ["teal"]
    assert json.loads(client.feedback.export("preferences").lines)["chosen"]
    with pytest.raises(ApiError) as gone:
        client.feedback.show(third.id)
    assert gone.value.status == 404
