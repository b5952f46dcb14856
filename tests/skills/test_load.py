"""Reading skill folders: what is accepted, and that every fault is told with its place."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from rag_adapt.core.errors import SkillError
from rag_adapt.core.types import Span
from rag_adapt.skills.load import find_skill, list_skills, load_skill, read_skill
from tests.skills.folders import CONTEXT, HEAD, LINES, PROMPT, changed, skill_folder

BOTH = {"prompt": PROMPT, "context": CONTEXT}


def fault_texts(folder: Path) -> list[str]:
    reading = read_skill(folder)
    assert reading.skill is None
    return [str(fault) for fault in reading.faults]


def test_a_valid_folder_becomes_a_skill_with_its_splits(tmp_path: Path) -> None:
    skill = load_skill(skill_folder(tmp_path))

    assert skill.name == "colours"
    assert skill.labels == ("red", "blue")
    assert [item.id for item in skill.training_items] == ["a", "b"]
    assert [item.id for item in skill.dev_items] == ["c"]
    assert [item.id for item in skill.test_items] == ["d"]
    assert skill.corpus is None
    assert skill.context is None
    assert skill.prompt.user == "One of {labels}: {input}"


def test_a_corpus_gold_spans_and_tags_are_read(tmp_path: Path) -> None:
    gold = [{"document": "sky.md", "start": 4, "end": 11}]
    folder = skill_folder(
        tmp_path,
        lines=changed(3, gold=gold, tags=["weather"]),
        templates=BOTH,
        documents={"sky.md": "The sky is blue.", "note.txt": "Nothing."},
    )

    skill = load_skill(folder)

    assert skill.corpus == folder / "corpus"
    assert skill.context is not None
    assert skill.test_items[0].gold == (Span(document="sky.md", start=4, end=11),)
    assert skill.test_items[0].tags == ("weather",)


@pytest.mark.parametrize(
    ("number", "values", "reason"),
    [
        pytest.param(1, {"id": "a"}, "items.jsonl:2: id: 'a' was used on line 1", id="same-id"),
        pytest.param(0, {"id": " "}, "items.jsonl:1: id: must not be empty", id="blank-id"),
        pytest.param(1, {"input": ""}, "items.jsonl:2: input: must not be empty", id="no-input"),
        pytest.param(1, {"input": 7}, "items.jsonl:2: input: Input should be", id="not-text"),
        pytest.param(1, {"targets": []}, "items.jsonl:2: targets: List should", id="no-target"),
        pytest.param(1, {"targets": "red"}, "items.jsonl:2: targets: Input", id="no-list"),
        pytest.param(1, {"targets": [""]}, "items.jsonl:2: targets.0: must not", id="blank"),
        pytest.param(
            1,
            {"targets": ["green"]},
            "items.jsonl:2: targets: 'green' is not one of the declared labels",
            id="undeclared-label",
        ),
        pytest.param(1, {"split": "tests"}, "items.jsonl:2: split: Input should", id="split"),
        pytest.param(1, {"cluster": None}, "items.jsonl:2: cluster: Field required", id="cluster"),
        pytest.param(1, {"colour": "x"}, "items.jsonl:2: colour: Extra inputs", id="extra-key"),
        pytest.param(
            3,
            {"cluster": "1"},
            "items.jsonl:4: cluster: '1' is in split 'test' here and in 'train' on line 1",
            id="cluster-crosses",
        ),
        pytest.param(
            3, {"split": "dev"}, "items.jsonl: has no item of the 'test' split", id="no-test"
        ),
        pytest.param(
            0,
            {"gold": [{"document": "x.md", "start": 0, "end": 1}]},
            "items.jsonl:1: gold: there is no document 'x.md' in corpus/",
            id="gold-without-corpus",
        ),
        pytest.param(
            0, {"input": "\ud800"}, "items.jsonl:1: holds half a character", id="half-a-character"
        ),
    ],
)
def test_a_bad_item_is_told_with_line_and_reason(
    tmp_path: Path, number: int, values: Mapping[str, Any], reason: str
) -> None:
    faults = fault_texts(skill_folder(tmp_path, lines=changed(number, **values)))

    assert len(faults) == 1
    assert faults[0].startswith(reason)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        pytest.param("{", "is not JSON: ", id="cut-off"),
        pytest.param("[1]", "is not a JSON object but list", id="list"),
        pytest.param("", "is an empty line", id="empty-line"),
        pytest.param('{"id": "x", "id": "y"}', "has the key 'id' twice", id="repeated-key"),
        pytest.param("[" * 200_000, "is not JSON that can be read: nested too deeply", id="deep"),
    ],
)
def test_a_line_that_is_no_object_is_told(tmp_path: Path, line: str, reason: str) -> None:
    faults = fault_texts(skill_folder(tmp_path, lines=[LINES[0], line, *LINES[1:]]))

    assert len(faults) == 1
    assert faults[0].startswith(f"items.jsonl:2: {reason}")


def test_undecodable_bytes_are_told_with_line_and_byte(tmp_path: Path) -> None:
    folder = skill_folder(tmp_path)
    with (folder / "items.jsonl").open("ab") as stream:
        stream.write(b'{"id": "\xff"}\n')

    assert fault_texts(folder) == [
        "items.jsonl:5: is not UTF-8: invalid start byte at byte 9",
    ]


@pytest.mark.parametrize(
    ("start", "end", "whole"),
    [(0, 17, "0..17"), (5, 5, "5..5"), (7, 3, "7..3")],
    ids=["beyond-the-end", "empty", "backwards"],
)
def test_a_gold_span_outside_its_document_is_told(
    tmp_path: Path, start: int, end: int, whole: str
) -> None:
    gold = [{"document": "sky.md", "start": start, "end": end}]
    folder = skill_folder(
        tmp_path,
        lines=changed(3, gold=gold),
        templates=BOTH,
        documents={"sky.md": "The sky is blue."},
    )

    assert fault_texts(folder) == [
        f"items.jsonl:4: gold: {whole} is not a span of 'sky.md', which has 16 characters"
    ]


def test_a_gold_document_outside_the_corpus_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "secret.md").write_text("secret")
    gold = [{"document": "../../secret.md", "start": 0, "end": 1}]
    folder = skill_folder(
        tmp_path, lines=changed(0, gold=gold), templates=BOTH, documents={"sky.md": "Blue."}
    )

    assert "there is no document '../../secret.md'" in fault_texts(folder)[0]


def test_a_gold_document_that_is_not_utf8_is_told(tmp_path: Path) -> None:
    gold = [{"document": "sky.md", "start": 0, "end": 1}]
    folder = skill_folder(
        tmp_path, lines=changed(0, gold=gold), templates=BOTH, documents={"sky.md": "Blue."}
    )
    (folder / "corpus" / "sky.md").write_bytes(b"ab\xff")

    assert fault_texts(folder) == ["items.jsonl:1: gold: 'sky.md' is not UTF-8: byte 3"]


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("task", "guessing", "skill.toml:4: task: Input should be"),
        ("scorer", "vibes", "skill.toml:5: scorer: Input should be"),
        ("labels", ["red", "red", "blue"], "skill.toml: labels: 'red' is declared 2 times"),
        ("max_tokens", 0, "skill.toml:7: max_tokens: Input should be greater"),
        ("max_tokens", "8", "skill.toml:7: max_tokens: Input should be a valid integer"),
        ("name", "Colours!", "skill.toml:1: name: must be 3 to 48"),
        ("name", "shades", "skill.toml: name: is 'shades', but the folder is called 'colours'"),
        ("extra", 1, "skill.toml:12: extra: Extra inputs are not permitted"),
        ("title", "", "skill.toml:2: title: must not be empty"),
    ],
)
def test_a_bad_key_of_the_head_is_told_with_its_line(
    tmp_path: Path, key: str, value: object, reason: str
) -> None:
    made = skill_folder(tmp_path, head={**HEAD, key: value})
    folder = made.rename(tmp_path / "colours") if made.name != "colours" else made

    assert any(fault.startswith(reason) for fault in fault_texts(folder))


def test_a_classification_without_labels_is_told(tmp_path: Path) -> None:
    faults = fault_texts(skill_folder(tmp_path, head={**HEAD, "labels": []}))

    assert "skill.toml: labels: a classification (or the scorer 'label') needs at least two" in (
        faults
    )
    assert "templates/prompt.toml: shows {labels}, but skill.toml declares none" in faults


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("name = ", "skill.toml:1: is not TOML: "),
        ("", "skill.toml: is empty"),
        (None, "skill.toml: is missing"),
        (b"\xff", "skill.toml: is not UTF-8: byte 1"),
    ],
    ids=["broken", "empty", "missing", "bytes"],
)
def test_a_head_that_cannot_be_read_is_told(
    tmp_path: Path, text: str | bytes | None, reason: str
) -> None:
    folder = skill_folder(tmp_path)
    head = folder / "skill.toml"
    head.unlink()
    if text is not None:
        head.write_bytes(text if isinstance(text, bytes) else text.encode())

    assert fault_texts(folder)[0].startswith(reason)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "items.jsonl: is missing"), ("", "items.jsonl: is empty"), ("\n\n", "is empty")],
    ids=["missing", "empty", "blank"],
)
def test_a_skill_without_items_is_told(tmp_path: Path, content: str | None, reason: str) -> None:
    folder = skill_folder(tmp_path)
    (folder / "items.jsonl").unlink()
    if content is not None:
        (folder / "items.jsonl").write_text(content)

    faults = fault_texts(folder)

    assert len(faults) == 1
    assert reason in faults[0]


@pytest.mark.parametrize(
    ("templates", "documents", "reason"),
    [
        ({"prompt-2": PROMPT}, None, "templates/prompt.toml: is missing"),
        (
            {"prompt": PROMPT},
            {"a.md": "x"},
            "templates/context.toml: is missing (the skill has a corpus)",
        ),
        ({"prompt": CONTEXT}, None, "templates/prompt.toml: shows {context}"),
        ({**BOTH, "context": PROMPT}, None, "templates/context.toml: never shows the passages"),
        ({"prompt": 'system = ""\nuser = "Hi"\n'}, None, "never shows the item"),
        ({"prompt": 'system = ""\nuser = "{input} {x}"\n'}, None, "unknown placeholders: x"),
        ({"prompt": 'user = "{input}"\n'}, None, "templates/prompt.toml: system: Field required"),
        ({"prompt": 'system = ""\nuser = 3\n'}, None, "templates/prompt.toml:2: user: Input"),
        ({"prompt": "user = {"}, None, "templates/prompt.toml:1: is not TOML"),
        ({"prompt": ""}, None, "templates/prompt.toml: is empty"),
    ],
    ids=[
        "no-prompt",
        "no-context",
        "prompt-with-context",
        "context-without",
        "no-input",
        "unknown-placeholder",
        "no-system",
        "not-text",
        "broken",
        "empty",
    ],
)
def test_a_bad_template_is_told(
    tmp_path: Path,
    templates: Mapping[str, str],
    documents: Mapping[str, str] | None,
    reason: str,
) -> None:
    folder = skill_folder(tmp_path, templates=templates, documents=documents)

    assert any(reason in fault for fault in fault_texts(folder))


def test_an_empty_corpus_and_an_empty_document_are_told(tmp_path: Path) -> None:
    none = skill_folder(tmp_path / "one", templates=BOTH, documents={"a.pdf": "x"})
    empty = skill_folder(tmp_path / "two", templates=BOTH, documents={"a.md": ""})

    assert fault_texts(none) == ["corpus: has no .md or .txt document"]
    assert fault_texts(empty) == ["corpus/a.md: is empty"]


def test_hidden_files_are_no_documents(tmp_path: Path) -> None:
    folder = skill_folder(tmp_path, templates=BOTH, documents={".a.md": "x"})

    assert fault_texts(folder) == ["corpus: has no .md or .txt document"]


def test_one_error_tells_faults_of_all_files_but_spells_out_twenty(tmp_path: Path) -> None:
    bad = [{**line, "targets": []} for line in LINES] * 6
    folder = skill_folder(tmp_path, head={**HEAD, "max_tokens": 0}, lines=bad)

    with pytest.raises(SkillError) as caught:
        load_skill(folder)

    assert "has 25 faults:" in caught.value.fact
    assert caught.value.fact.count("\n") == 21
    assert caught.value.fact.endswith("... and 5 more")
    assert f"rag-adapt skills check {folder}" in caught.value.hint


def test_the_data_hash_follows_items_head_and_templates(tmp_path: Path) -> None:
    variants = [
        skill_folder(tmp_path / "same"),
        skill_folder(tmp_path / "items", lines=changed(0, input="poppy")),
        skill_folder(tmp_path / "head", head={**HEAD, "max_tokens": 9}),
        skill_folder(tmp_path / "templates", templates={"prompt": PROMPT.replace("One", "Say")}),
    ]
    hashes = [load_skill(folder).data_hash for folder in variants]

    assert len(set(hashes)) == 4
    assert load_skill(skill_folder(tmp_path / "again")).data_hash == hashes[0]


def test_a_skill_is_found_by_name_and_by_path(tmp_path: Path) -> None:
    folder = skill_folder(tmp_path / "home" / "skills")

    assert find_skill("colours", tmp_path / "home").folder == folder
    assert find_skill(str(folder), tmp_path / "elsewhere").name == "colours"


def test_bundled_skills_are_listed_before_imported_ones_without_hidden_folders(
    tmp_path: Path,
) -> None:
    skill_folder(tmp_path / "skills")
    (tmp_path / "skills" / ".colours-draft").mkdir()

    places = list_skills(tmp_path)

    assert places[0].origin == "bundled"
    assert [place.name for place in places if place.origin == "imported"] == ["colours"]


def test_an_unknown_skill_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    skill_folder(tmp_path / "skills")

    with pytest.raises(SkillError, match=r"there is no skill 'colour'; known: .*orders.*colours"):
        find_skill("colour", tmp_path)


def test_a_name_that_exists_twice_is_refused(tmp_path: Path) -> None:
    skill_folder(tmp_path / "skills", head={**HEAD, "name": "orders"})

    with pytest.raises(SkillError, match="'orders' belongs to a bundled skill"):
        find_skill("orders", tmp_path)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SkillError, match="there is no skill folder"):
        load_skill(tmp_path / "nowhere")
