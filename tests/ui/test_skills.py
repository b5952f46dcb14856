"""The page Skills over the real service: listed, imported from a table, checked, previewed."""

import json

from tests.serving.parts import HOME, imported
from tests.ui.parts import button, page, ran, words
from ui.table_columns import HEAD, columns_of, guess

SUMS = "question,answer\n" + "".join(f"What is {n} plus 1?,{n + 1}\n" for n in range(12))
LEAKS = [(split, n) for split in ("train", "dev", "test") for n in range(4)]
HOSTILE = "![x](http://example.invalid/x) <img src=http://example.invalid/y>"


def test_an_empty_home_has_the_bundled_skills_and_says_how_to_bring_ones_own(address: str) -> None:
    with page("skills") as test:
        said = words(test)
        assert "past-tense" in said
        assert "bundled" in said
        assert "Choose a file: its columns are asked for next." in said


def test_a_table_becomes_a_skill_its_columns_guessed_and_its_splits_shown(address: str) -> None:
    with page("skills") as test:
        test.file_uploader[0].upload("sums.csv", SUMS.encode(), "text/csv")
        ran(test)
        columns = {one.label: one.value for one in test.selectbox}
        assert (columns["Input"], columns["Target"]) == ("question", "answer")
        assert columns["Split (train, dev, test)"] is None
        assert list(test.dataframe[0].value["answer"])[:2] == ["1", "2"]
        next(one for one in test.text_input if one.label == "Name of the skill").set_value("sums")
        button(test, "Import").click()
        ran(test)
        assert test.query_params.get("skill") == "sums", words(test)
        said = words(test)
        assert "Imported: 12 rows" in said
        assert "Sound." in said
        assert "Task: " in said
        (measure,) = test.get("page_link")
        assert "sums" in measure.proto.query_string
        (splits,) = [one.value for one in test.dataframe]
        assert splits["items"].sum() == 12
        button(test, "All skills").click()
        assert "sums" in words(ran(test))
    with page("skills", skill="sums") as again:
        assert "Imported: 12 rows" not in words(again)


def test_rows_that_were_left_out_and_moved_are_listed(address: str) -> None:
    rows = [f"{split},the lamp in the hall of house {n} is how bright,{n}" for split, n in LEAKS]
    table = "\n".join(["split,text,label", *rows, "alone"])
    with page("skills") as test:
        test.file_uploader[0].upload("lamps.csv", table.encode(), "text/csv")
        ran(test)
        assert {"text", "label", "split"} <= {str(one.value) for one in test.selectbox}
        test.text_input[0].set_value("lamps")
        test.toggle[0].set_value(True)
        button(test, "Import").click()
        said = words(ran(test))
        assert "1 row left out." in said
        assert "8 rows moved to another split" in said


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


def test_what_cannot_be_imported_is_said_beside_the_form(address: str) -> None:
    with page("skills") as test:
        test.file_uploader[0].upload("sums.csv", SUMS.encode(), "text/csv")
        ran(test)
        button(test, "Import").click()
        assert "name: " in words(ran(test))
        next(one for one in test.text_input).set_value("past-tense")
        button(test, "Import").click()
        said = words(ran(test))
        assert "That did not work" in said
        assert "past-tense" in said
        assert not (HOME / "skills").exists()


def test_a_template_is_previewed_with_an_input_and_passages(address: str) -> None:
    imported()
    with page("skills", skill="colours") as test:
        test.selectbox[0].select("context")
        test.text_area[0].set_value(HOSTILE)
        test.text_area[1].set_value("first\n---\nsecond")
        button(test, "Show what is sent").click()
        sent = [one.value for one in ran(test).code]
        assert any(HOSTILE in text for text in sent)
        assert any("first" in text and "second" in text for text in sent)
        assert HOSTILE not in "".join(one.value for one in test.markdown)


def test_a_skill_with_a_fault_says_why_it_cannot_be_used(address: str) -> None:
    folder = imported()
    (folder / "items.jsonl").write_text("{}\n")
    with page("skills") as test:
        assert "cannot be used: " in words(test)
        test.button(key="open-colours").click()
        said = words(ran(test))
        assert "This skill cannot be used." in said
        assert "items.jsonl" in said
    with page("skills", skill="ghost") as test:
        assert "ghost" in words(test)


def test_columns_are_read_from_tables_and_lines_and_never_from_anything_else() -> None:
    assert columns_of("a.CSV", b"\xef\xbb\xbfa,b\n1,2\n").names == ("a", "b")
    assert columns_of("a.tsv", b"a\tb\n1\t2\n").rows == ({"a": "1", "b": "2"},)
    lines = columns_of("a.jsonl", b'{"q": "x", "n": [1]}\nnot json\n[]\n{"q": "y"}\n')
    assert lines.names == ("q", "n")
    assert lines.rows == ({"q": "x", "n": "[1]"}, {"q": "y"})
    assert columns_of("a.json", b'{"examples": []}').names == ()
    assert columns_of("a.csv", b"").names == ()
    assert columns_of("a.jsonl", b"[" * HEAD).names == ()
    assert columns_of("a.csv", b"a\n" + b'"' + b"x" * HEAD).names == ()
    assert guess(["Label", " Text "], ("text",)) == 1
    assert guess(["a"], ("b",)) is None
