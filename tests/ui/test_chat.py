"""The page Chat over the real service: asked, watched, stopped, judged, left and found again."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from rag_adapt.bench.proof import Check, Proof, conclude
from rag_adapt.client import Client, filled
from rag_adapt.core.errors import EngineError
from rag_adapt.engines.scripted import ScriptedEngine
from rag_adapt.schemas.conversations import ConversationDetail, ConversationRequest, TurnRequest
from tests.api.parts import app_of, listening
from tests.api.test_streaming import Slow
from tests.serving.parts import imported, published, service
from tests.ui.parts import PATIENCE, button, labels, page, ran, read, until, words
from ui import answer_words, conversation_list
from ui.connection import ADDRESS
from ui.conversation_list import PAGE

QUESTION = "Which colour has thing number 1?"


@pytest.fixture
def client(own_folder: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """A service with a skill that has documents and an adapter, and a client beside the page."""
    imported()
    engine = ScriptedEngine()
    published(engine, weights_hash=engine.fingerprint.weights)
    with listening(app_of(service(engine))) as url, Client(url) as made:
        monkeypatch.setenv(ADDRESS, url)
        yield made


def asked(test: AppTest, *routes: str, question: str = QUESTION) -> AppTest:
    """A new conversation about colours, its answers complete."""
    test.selectbox[0].set_value("colours")
    ran(test)
    test.pills[0].set_value(list(routes))
    test.chat_input[0].set_value(question)
    ran(test)
    return until(test, lambda page: not is_busy(page))


def is_busy(test: AppTest) -> bool:
    return any(read(one.label) == "Stop" for one in test.button)


def conversation(client: Client) -> ConversationDetail:
    """The only one."""
    (one,) = client.conversations.all()
    return client.conversations.show(one.id)


def test_a_question_goes_to_the_chosen_routes_and_every_answer_has_its_column(
    client: Client,
) -> None:
    with page() as test:
        assert "Your conversations will be listed here." in words(test)
        test.selectbox[0].set_value("colours")
        assert list(ran(test).pills[0].options) == ["prompt", "rag", "lora"]
        assert "auto appears once a benchmark is finished" in words(test)
        test.pills[0].set_value([])
        assert "Choose at least one route." in words(ran(test))
        assert test.chat_input[0].disabled
        test.pills[0].set_value(["rag"])
        ran(test)
        asked(test, "prompt", "rag", "lora")
        kept = conversation(client)
        assert kept.models == [f"route:{r}/colours" for r in ("prompt", "rag", "lora")]
        assert test.query_params["conversation"] == kept.id
        said = words(test)
        for one in kept.turns[0].generations:
            assert one.answer is not None
            assert one.text in said
            assert f"{one.answer.usage.completion_tokens} out" in said
            assert answer_words.cost(one.answer.cost) in said
        adapted = kept.turns[0].generations[2].answer
        assert adapted is not None
        assert adapted.rag_adapt.adapter is not None
        assert f"adapter colours, weights {adapted.rag_adapt.adapter[-12:]}" in said
        assert "proven active" in said
        assert "hash agrees" in said
        assert "Passages (" in said


def test_what_was_asked_is_found_again_after_a_reload_and_in_the_list(client: Client) -> None:
    with page() as test:
        asked(test, "prompt")
    kept = conversation(client)
    answer = kept.turns[0].generations[0].text
    with page(conversation=kept.id) as test:
        assert QUESTION in words(test)
        assert answer in words(test)
    with page() as test:
        button(test, kept.title).click()
        assert answer in words(ran(test))
        assert test.query_params["conversation"] == kept.id
        test.switch_page("views/system.py")
        test.switch_page("views/chat.py")
        assert answer in words(ran(test))
        button(test, "New conversation").click()
        assert not ran(test).chat_message
        assert "conversation" not in test.query_params


def test_the_next_question_another_try_and_an_edited_question(client: Client) -> None:
    with page() as test:
        asked(test, "prompt")
        test.chat_input[0].set_value("And thing number 2?")
        until(ran(test), lambda page: len(conversation(client).turns) == 2 and not is_busy(page))
        again = [one for one in test.button if read(one.label) == "Again"]
        assert len(again) == 2
        again[1].click()
        until(ran(test), lambda page: not is_busy(page))
        assert [len(turn.generations) for turn in conversation(client).turns] == [1, 2]
        assert "Earlier answers (1)" in words(test)
        test.text_area[0].set_value("Which colour has thing number 3?")
        next(one for one in test.button if read(one.label) == "Ask this instead").click()
        until(ran(test), lambda page: not is_busy(page))
        (turn,) = conversation(client).turns
        assert turn.question == "Which colour has thing number 3?"


def test_a_citation_opens_its_document_with_the_exact_span_marked(client: Client) -> None:
    with page() as test:
        asked(test, "rag")
        answer = conversation(client).turns[0].generations[0].answer
        assert answer is not None
        citation = answer.rag_adapt.citations[0]
        button(test, f"1. {citation.document}").click()
        shown = "".join(str(one.value) for one in ran(test).html)
        document = client.collections.document("skill-colours", citation.document).text
        assert f"<mark>{document[citation.start : citation.end]}</mark>" in shown
        assert f"characters {citation.start:,} to {citation.end:,}" in words(test)


def test_a_document_that_went_is_replaced_by_what_was_sent(client: Client) -> None:
    with page() as test:
        asked(test, "rag")
        answer = conversation(client).turns[0].generations[0].answer
        assert answer is not None
        shutil.rmtree("indexes/skill-colours")
        citation = answer.rag_adapt.citations[0]
        button(test, f"1. {citation.document}").click()
        assert f"<mark>{citation.text}</mark>" in "".join(one.value for one in ran(test).html)
        assert "That did not work" in words(test)


def test_the_trace_shows_exactly_what_was_sent_and_how_the_adapter_was_proven(
    client: Client,
) -> None:
    with page() as test:
        asked(test, "lora")
        answer = conversation(client).turns[0].generations[0].answer
        assert answer is not None
        button(test, "Trace").click()
        codes = [one.value for one in ran(test).code]
        (traced,) = client.answers.trace(answer.rag_adapt.trace_id).answers
        sent = traced["trace"]["events"][-1]["detail"]["call"]["messages"]
        assert sent
        assert all(message["content"] in codes for message in sent)
        assert any(one.label.startswith("generate, ") for one in test.expander)
        assert "Proof of the adapter" in words(test)
        assert "hash: passed" in words(test)


def test_votes_and_corrections_reach_the_service_and_are_shown_again(client: Client) -> None:
    with page() as test:
        asked(test, "prompt")
        test.feedback[0].set_value(1)
        ran(test)
        assert [one.vote for one in client.feedback.all()] == ["up"]
        correction = next(one for one in test.text_area if "should have been" in one.label)
        correction.set_value("blue")
        window = str(correction.key).replace("correction", "correcting")
        test.session_state[window] = True  # as its button opens it
        button(test, "Save").click()
        ran(test)
        assert not test.session_state[window]
        (given,) = client.feedback.all()
        assert (given.vote, given.correction) == ("up", "blue")
        test.feedback[0].set_value(0)
        ran(test)
        (given,) = client.feedback.all()
        assert (given.vote, given.correction) == ("down", "blue")
    with page(conversation=conversation(client).id) as test:
        assert test.feedback[0].value == 0
        test.feedback[0].set_value(None)
        ran(test)
        (given,) = client.feedback.all()
        assert (given.vote, given.correction) == (None, "blue")
        client.feedback.reject(given.id)
        assert "Your feedback was rejected." in words(ran(test))


def test_a_vote_alone_can_be_taken_back(client: Client) -> None:
    with page() as test:
        asked(test, "prompt")
        test.feedback[0].set_value(0)
        ran(test)
        test.feedback[0].set_value(None)
        ran(test)
        assert list(client.feedback.all()) == []


def test_an_answer_is_stopped_and_keeps_what_was_written(
    own_folder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow()
    with listening(app_of(service(slow))) as url, Client(url) as client:
        monkeypatch.setenv(ADDRESS, url)
        made = client.conversations.create(filled(ConversationRequest, models=["scripted"]))
        client.conversations.ask(made.id, filled(TurnRequest, question="x"))
        with page(conversation=made.id) as test:
            until(test, lambda page: "word word" in words(page))
            assert test.chat_input[0].disabled
            button(test, "Stop").click()
            until(ran(test), lambda page: "Stopped." in words(page))
            assert "word word" in words(test)
            assert not test.chat_input[0].disabled


def test_a_route_that_fails_says_so_beside_one_that_answers(
    own_folder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = EngineError("the *engine* is ![out](http://example.invalid)", hint="Start it again.")
    imported()
    engine = ScriptedEngine(failures={"number 1": broken})
    with listening(app_of(service(engine))) as url, Client(url):
        monkeypatch.setenv(ADDRESS, url)
        with page() as test:
            asked(test, "prompt")
            assert "Start it again." in [one.value for one in test.text]
            assert broken.fact in [one.value for one in test.text]
            button(test, "Trace").click()
            assert "Sent to the model" in words(ran(test))


def test_an_adapter_that_was_not_proven_says_so_with_the_figure(
    own_folder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported()
    engine = ScriptedEngine()
    published(engine, weights_hash=engine.fingerprint.weights)
    figure = "0.0001 nats/token from the base, more than 0.0050 needed"

    async def unproven(version: str) -> Proof:
        return conclude([Check(name="canary", passed=False, detail=figure, figure=0.0001)])

    with listening(app_of(service(engine, prove=unproven))) as url:
        monkeypatch.setenv(ADDRESS, url)
        with page() as test:
            asked(test, "prompt", "lora")
            said = words(test)
            assert "adapter not proven" in said
            assert figure in said
            assert "to first token" in said  # the other route answers all the same


HOSTILE = (
    "<img src=http://example.invalid/x> ![x](http://example.invalid) [a](http://b.invalid) :red[x]"
)


def test_hostile_text_is_text_wherever_it_stands(client: Client) -> None:
    with page() as test:
        asked(test, "prompt", question=HOSTILE)
        assert HOSTILE in [one.value for one in test.text]
        for one in test.markdown:
            assert "http://" not in one.value
        for kind in ("button", "expander"):
            for label in labels(test, kind):
                assert "http://" not in label, label
        assert all(one.value.startswith("<style>") for one in test.html)


def test_conversations_are_renamed_and_deletion_asks_first(client: Client) -> None:
    with page() as test:
        asked(test, "prompt")
        title = next(one for one in test.text_input if one.label == "Title")
        title.set_value("Mine")
        button(test, "Rename").click()
        assert "Mine" in words(ran(test))
        assert button(test, "Delete").disabled
        test.checkbox[0].check()
        button(ran(test), "Delete").click()
        ran(test)
        assert list(client.conversations.all()) == []
        assert "Your conversations will be listed here." in words(test)


def test_a_conversation_that_is_gone_says_so_and_a_new_one_can_begin(address: str) -> None:
    with page(conversation="0" * 32) as test:
        assert "That did not work" in words(test)
        button(test, "New conversation").click()
        assert "That did not work" not in words(ran(test))


def test_long_conversations_and_long_lists_are_shown_in_parts(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = filled(ConversationRequest, models=["route:prompt/colours"])
    made, *_ = [client.conversations.create(order) for _ in range(21)]
    for number in range(12):
        turn = client.conversations.ask(made.id, filled(TurnRequest, question=f"question {number}"))
        list(client.conversations.watch(made.id, turn.generations[0].id))
    with page(conversation=made.id) as test:
        assert "question 1\n" not in words(test)
        button(test, "Show 2 earlier questions").click()
        assert "question 1\n" in words(ran(test))
        assert sum(read(one.label) == "Untitled" for one in test.button) == 19 + 1
        button(test, "More").click()
        assert sum(read(one.label) == "question 0" for one in ran(test).button) == 1
    monkeypatch.setattr(conversation_list, "MOST", PAGE)
    with page(conversation=made.id) as test:
        assert f"These are the newest {PAGE}" in words(test)


def changed() -> None:
    """A page that cites what its document no longer says."""
    from rag_adapt.schemas.answers import Citation
    from ui.passage import open_passage

    cited = Citation(choice=0, document="colours.md", start=0, end=4, text="<b>x", score=1.0)
    open_passage(cited, "colours")


def test_a_document_that_changed_shows_the_passage_as_it_was_sent(client: Client) -> None:
    with page() as test:
        asked(test, "rag")
    changed_page = AppTest.from_function(changed, default_timeout=PATIENCE)
    changed_page.session_state["connection.client"] = client
    said = ran(changed_page)
    assert "has changed since" in words(said)
    assert "<mark>&lt;b&gt;x</mark>" in words(said)
