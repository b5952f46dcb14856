"""The page Skills over the real service: listed, imported from a table, checked, edited."""

import json
import time

import pytest
from streamlit.testing.v1 import AppTest

from rag_adapt.client import Client
from rag_adapt.engines.scripted import ScriptedEngine
from rag_adapt.schemas.conversations import ConversationRequest, TurnRequest
from rag_adapt.schemas.feedback import FeedbackRequest
from rag_adapt.schemas.skills import TemplateOrder
from rag_adapt.skills.load import find_skill
from tests.serving.parts import HOME, imported, published
from tests.ui.parts import button, labels, page, ran, words
from ui.skill_import import named
from ui.table_columns import HEAD, MOST, columns_of, guess

SUMS = "question,answer\n" + "".join(f"What is {n} plus 1?,{n + 1}\n" for n in range(12))
LEAKS = [(split, n) for split in ("train", "dev", "test") for n in range(4)]
HOSTILE = "![x](http://example.invalid/x) <img src=http://example.invalid/y>"


def field(test: AppTest, label: str, value: str) -> None:
    """Type into the only field of this label."""
    (found,) = [one for one in (*test.text_input, *test.text_area) if one.label == label]
    found.set_value(value)


def sent(test: AppTest) -> list[str]:
    """What the preview shows."""
    return [str(one.value) for one in test.code]


def test_an_empty_home_has_the_bundled_skills_and_a_table_becomes_ones_own(address: str) -> None:
    with page("skills") as test:
        said = words(test)
        assert "past-tense" in said
        assert "bundled" in said
        assert "Choose a file: its columns are asked for next." in said
        test.file_uploader[0].upload("sums.csv", SUMS.encode(), "text/csv")
        ran(test)
        columns = {one.label: one.value for one in test.selectbox}
        assert (columns["Input"], columns["Target"]) == ("question", "answer")
        assert columns["Split (train, dev, test)"] is None
        assert list(test.dataframe[0].value["answer"])[:2] == ["1", "2"]
        field(test, "Name of the skill", "past-tense")
        button(test, "Import").click()
        said = words(ran(test))
        assert "That did not work" in said
        assert "'past-tense'" in said
        field(test, "Name of the skill", "sums")
        button(test, "Import").click()
        ran(test)
        assert test.query_params.get("skill") == "sums", words(test)
        said = words(test)
        assert "Imported: 12 rows" in said
        assert "Sound." in said
        (splits,) = [one.value for one in test.dataframe]
        assert splits["items"].sum() == 12
        button(test, "All skills").click()
        assert "sums" in words(ran(test))
        test.button(key="open-sums").click()
        button(ran(test), "Measure which route suits it").click()
        assert ran(test).multiselect[0].value == ["sums"]


def lamps(kind: str) -> str:
    """Examples that leak, and a row that is none, as a table or as a line of JSON each."""
    rows = [(split, f"the lamp in the hall of house {n} is how bright", n) for split, n in LEAKS]
    if kind == "csv":
        return "\n".join(["split,text,label", *(",".join(map(str, row)) for row in rows), "alone"])
    lines = [{"split": split, "text": text, "label": n} for split, text, n in rows]
    return "\n".join([*(json.dumps(line) for line in lines), '{"text": "alone"}'])


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_rows_that_were_left_out_and_moved_are_listed(address: str, kind: str) -> None:
    with page("skills") as test:
        test.file_uploader[0].upload(f"lamps.{kind}", lamps(kind).encode(), "text/plain")
        ran(test)
        assert {"text", "label", "split"} <= {str(one.value) for one in test.selectbox}
        assert test.text_input[0].value == "lamps"
        test.toggle[0].set_value(True)
        button(test, "Import").click()
        said = words(ran(test))
        assert "1 row left out." in said
        assert "8 rows moved to another split" in said
        assert test.query_params["skill"] == "lamps"


def test_near_duplicates_between_splits_are_listed(address: str) -> None:
    items = imported() / "items.jsonl"
    rows = [json.loads(line) for line in items.read_text().splitlines()]
    long = "the lamp in the hall of the old house by the river is as bright as the one outside"
    for split, text in (("train", long), ("test", f"{long} it")):
        next(row for row in rows if row["split"] == split)["input"] = text
    items.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    with page("skills", skill="colours") as test:
        assert "Near-duplicates between splits: a test item may have" in words(test)
        assert next(iter(test.dataframe[1].value["similarity"])) > 0.8


def test_a_template_is_tried_out_and_saved_and_says_what_that_means(address: str) -> None:
    imported()
    version = published(ScriptedEngine()).version
    before = find_skill("colours", HOME)
    with page("skills", skill="colours") as test:
        assert sent(test) == ["Answer with one of: red, blue.", "train thing number 0: red"]
        button(test, "Save").click()
        assert "Nothing has been changed since it was read." in words(ran(test))
        field(test, "User message", "Colour?\n{input}")
        field(test, "Try it with", HOSTILE)
        ran(test)
        assert sent(test) == ["Answer with one of: red, blue.", f"Colour?\n{HOSTILE}"]
        assert HOSTILE not in "".join(one.value for one in test.markdown)
        assert find_skill("colours", HOME).data_hash == before.data_hash
        field(test, "User message", "no place for it")
        assert "never shows the item" in words(ran(test))
        button(test, "Save").click()
        assert "That did not work" in words(ran(test))
        field(test, "User message", "Colour?\n{input}")
        button(ran(test), "Save").click()
        said = words(ran(test))
        now = find_skill("colours", HOME)
        assert now.prompt.user == "Colour?\n{input}"
        assert f"changed from {before.data_hash} to {now.data_hash}" in said
        assert version in said
        assert button(test, "Undo changes").disabled


def test_passages_and_a_worked_example_are_shown_where_the_template_has_a_place(
    address: str,
) -> None:
    imported()
    with page("skills", skill="colours") as test:
        next(one for one in test.selectbox if one.label == "Template").select("context")
        next(one for one in ran(test).toggle if one.label == "With a worked example").set_value(
            True
        )
        field(test, "Passages", "first\n---\nsecond")
        shown = sent(ran(test))
        assert shown[1] == "red"
        assert "[1] <data>first</data>\n\n[2] <data>second</data>" in shown[2]


def test_what_somebody_else_saved_meanwhile_is_not_written_over(address: str) -> None:
    imported()
    with page("skills", skill="colours") as test, Client(address) as client:
        old = client.skills.template("colours", "prompt").hash
        theirs = TemplateOrder(system="", user="Theirs: {input}", replaces=old)
        client.skills.store_template("colours", "prompt", theirs)
        field(test, "User message", "Mine: {input}")
        button(ran(test), "Save").click()
        assert "is not the one that was looked at" in words(ran(test))
        assert find_skill("colours", HOME).prompt.user == "Theirs: {input}"
        button(test, "Read it again").click()
        assert any(one.value == "Theirs: {input}" for one in ran(test).text_area)


def test_a_new_template_is_added_and_changes_can_be_undone(address: str) -> None:
    imported()
    with page("skills", skill="colours") as test:
        field(test, "System message", "Otherwise.")
        button(ran(test), "Undo changes").click()
        assert not any(one.value == "Otherwise." for one in ran(test).text_area)
        next(one for one in test.selectbox if one.label == "Template").select("(a new one)")
        assert "Name the new template" in words(ran(test))
        field(test, "Its name", "prompt-short")
        field(ran(test), "System message", "")
        button(ran(test), "Save").click()
        assert "Saved: prompt-short" in words(ran(test))
    assert find_skill("colours", HOME).templates["prompt-short"].system == ""


def test_a_bundled_skill_can_be_tried_out_and_says_why_it_stays(address: str) -> None:
    with page("skills", skill="past-tense") as test:
        assert "This skill is bundled and stays as it is" in words(test)
        field(test, "System message", "One word.")
        assert sent(ran(test))[0] == "One word."
        assert "Save" not in [one.label for one in test.button]


def test_a_skill_with_a_fault_says_why_it_cannot_be_used(address: str) -> None:
    folder = imported()
    (folder / "items.jsonl").write_text("{}\n")
    with page("skills") as test:
        assert "cannot be used: " in words(test)
        test.button(key="open-colours").click()
        said = words(ran(test))
        assert "This skill cannot be used." in said
        assert "items.jsonl" in said


def test_votes_and_corrections_are_decided_and_become_rows(address: str) -> None:
    imported()
    question = f"Which colour has thing number 3? {HOSTILE}"
    with Client(address) as client:
        for correction in ("green", "grey"):
            talk = client.conversations.create(
                ConversationRequest(skill="colours", models=["route:prompt/colours"])
            )
            told = client.conversations.ask(talk.id, TurnRequest(question=question))
            trace = answered(client, talk.id, told.generations[0].id)
            client.feedback.give(
                FeedbackRequest(trace_id=trace, vote="down", correction=correction)
            )
        with page("skills", skill="colours") as test:
            said = words(test)
            assert f"Question: {question}" in said
            assert "Should have been: green" in said
            newest = next(one for one in test.button if one.label == "Reject")
            newest.click()
            ran(test)
            assert "Should have been: grey" not in words(test)
            button(test, "Accept").click()
            assert "No vote or correction waits." in words(ran(test))
            next(one for one in test.toggle if one.label.startswith("Rows of")).set_value(True)
            ran(test)
            assert "training.jsonl (1 row)" in labels(test, "download_button")
        states = {one.correction: one.state for one in client.feedback.all()}
    assert states == {"green": "accepted", "grey": "rejected"}


def answered(client: Client, talk: str, generation: str) -> str:
    """The trace of an answer, when it is whole."""
    end = time.monotonic() + 30
    while (found := client.conversations.generation(talk, generation)).answer is None:
        assert time.monotonic() < end, found.state
        time.sleep(0.02)
    return found.answer.rag_adapt.trace_id


def test_a_file_suggests_a_name_that_a_skill_may_have() -> None:
    assert named("My tickets (2026).csv") == "my-tickets-2026"
    assert named("été.jsonl") == "t"
    assert len(named(f"{'x' * 100}.csv")) == 40


def test_columns_are_read_from_tables_and_lines_and_never_from_anything_else() -> None:
    assert columns_of("a.CSV", b"\xef\xbb\xbfa,b\n1,2\n").names == ("a", "b")
    assert columns_of("a.tsv", b"a\tb\n1\t2\n").rows == ({"a": "1", "b": "2"},)
    lines = columns_of("a.jsonl", b'{"q": "x", "n": [1]}\nnot json\n[]\n{"q": "y"}\n')
    assert lines.names == ("q", "n")
    assert lines.rows == ({"q": "x", "n": "[1]"}, {"q": "y"})
    assert columns_of("a.json", b'{"examples": []}').names == ()
    assert columns_of("a.csv", b"").names == ()
    assert columns_of("a.jsonl", b"[" * HEAD).names == ()
    endless = columns_of("a.csv", b"a\n" + b'"' + b"x" * HEAD)  # read or refused, as csv is set
    assert all(len(cell) <= MOST + 1 for row in endless.rows for cell in row.values())
    assert guess(["Label", " Text "], ("text",)) == 1
    assert guess(["a"], ("b",)) is None
