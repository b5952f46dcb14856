"""Importing: public files as they are, small files with every kind of fault, and all or nothing."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rag_adapt.core.errors import SkillError
from rag_adapt.skills.importing import Import, ImportReport, import_skill
from rag_adapt.skills.load import find_skill
from rag_adapt.skills.near_duplicates import normal_form
from rag_adapt.skills.splitting import Ratio
from rag_adapt.skills.tables import Columns

SHARED = Path(__file__).parents[3] / "shared" / "data"
TEXT_LABEL = Columns(input="text", target="label")


def csv_file(folder: Path, *lines: str, header: str = "text,label") -> Path:
    path = folder / "rows.csv"
    path.write_text("\n".join((header, *lines)) + "\n")
    return path


def labelled(count: int) -> list[str]:
    return [f"text {number},{'red' if number % 4 else 'blue'}" for number in range(count)]


def done(file: Path, home: Path, **values: Any) -> ImportReport:
    order = Import(file=file, name="made", columns=TEXT_LABEL)
    return import_skill(replace(order, **values), home=home)


def test_a_csv_becomes_a_skill_that_is_found_by_name(tmp_path: Path) -> None:
    report = done(csv_file(tmp_path, *labelled(40)), tmp_path)

    skill = find_skill("made", tmp_path)
    assert skill == report.skill
    assert (skill.task, skill.scorer, skill.labels) == ("classification", "label", ("blue", "red"))
    counts = [len(part) for part in (skill.training_items, skill.dev_items, skill.test_items)]
    assert counts == [24, 8, 8]
    assert Counter(item.targets[0] for item in skill.test_items) == {"red": 6, "blue": 2}
    assert skill.items[0].id == "made-00002"
    assert (report.rows, report.left_out, report.notes) == (40, (), ())


def test_the_same_seed_writes_the_same_skill(tmp_path: Path) -> None:
    file = csv_file(tmp_path, *labelled(40))

    hashes = [
        done(file, tmp_path / name, seed=seed).skill.data_hash
        for name, seed in (("one", 1), ("two", 1), ("three", 2))
    ]

    assert hashes[0] == hashes[1]
    assert hashes[0] != hashes[2]


def test_every_bad_line_stops_the_import_and_leaves_no_trace(tmp_path: Path) -> None:
    file = csv_file(tmp_path, "good,red", "no label,", "too,many,fields", *labelled(10))

    with pytest.raises(SkillError) as caught:
        done(file, tmp_path / "home")

    assert "has 2 faults:" in caught.value.fact
    assert "rows.csv:3: 'label' is empty" in caught.value.fact
    assert "rows.csv:4: has 3 fields" in caught.value.fact
    assert "--skip-bad" in caught.value.hint
    assert not (tmp_path / "home").exists()


def test_bad_lines_are_left_out_and_listed_where_asked(tmp_path: Path) -> None:
    file = csv_file(tmp_path, "good,red", "no label,", *labelled(20))

    report = done(file, tmp_path, skip_bad=True)

    assert len(report.skill.items) == 21
    assert [str(fault) for fault in report.left_out] == ["rows.csv:3: 'label' is empty"]


def test_a_file_of_bad_lines_alone_is_refused_even_then(tmp_path: Path) -> None:
    with pytest.raises(SkillError, match="has no row that can be used"):
        done(csv_file(tmp_path, "x,", ",y"), tmp_path, skip_bad=True)


def test_near_identical_rows_share_cluster_and_split(tmp_path: Path) -> None:
    file = csv_file(tmp_path, *labelled(20), *(line.upper() for line in labelled(20)))

    report = done(file, tmp_path, task="question")

    clusters = {(item.cluster, item.split) for item in report.skill.items}
    assert len(clusters) == 20
    assert any("40 rows share a cluster" in note for note in report.notes)


def test_the_files_own_splits_are_kept(tmp_path: Path) -> None:
    lines = ["a,red,train", "b,blue,Validation", "c,red,test", "C!,red,train"]
    file = csv_file(tmp_path, *lines, header="text,label,part")

    report = done(file, tmp_path, columns=replace(TEXT_LABEL, split="part"), task="classification")

    assert [item.split for item in report.skill.items] == ["train", "dev", "test", "test"]
    assert any("1 rows moved" in note for note in report.notes)


def test_a_split_without_a_known_name_is_a_bad_line(tmp_path: Path) -> None:
    file = csv_file(tmp_path, "a,red,later", header="text,label,part")

    with pytest.raises(SkillError, match=r"rows\.csv:2: part: 'later' names no split"):
        done(file, tmp_path, columns=replace(TEXT_LABEL, split="part"))


def test_an_import_without_test_items_is_refused(tmp_path: Path) -> None:
    file = csv_file(tmp_path, "a,red,train", "b,blue,dev", header="text,label,part")

    with pytest.raises(SkillError, match=r"no item would be in the test split \(train 1, dev 1\)"):
        done(file, tmp_path, columns=replace(TEXT_LABEL, split="part"), task="classification")


def test_a_limit_keeps_the_proportions_of_labels(tmp_path: Path) -> None:
    report = done(csv_file(tmp_path, *labelled(400)), tmp_path, limit=40)

    assert Counter(item.targets[0] for item in report.skill.items) == {"red": 30, "blue": 10}
    assert report.rows == 400


def test_labels_can_be_chosen_by_name_and_by_frequency(tmp_path: Path) -> None:
    lines = [f"t{n},{label}" for n, label in enumerate(["a"] * 9 + ["b"] * 6 + ["c"] * 3)]
    file = csv_file(tmp_path, *lines)

    named = done(file, tmp_path / "one", labels=("a", "c"))
    frequent = done(file, tmp_path / "two", max_labels=2)

    assert named.skill.labels == ("a", "c")
    assert frequent.skill.labels == ("a", "b")


def test_a_label_that_the_file_has_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SkillError, match="has not: 'green'\nIt has: blue, red"):
        done(csv_file(tmp_path, *labelled(9)), tmp_path, labels=("green", "red"))


def test_a_label_without_test_items_is_noted(tmp_path: Path) -> None:
    report = done(csv_file(tmp_path, *labelled(20), "odd,green"), tmp_path, task="classification")

    assert any("no test item for 1 labels: green" in note for note in report.notes)


def test_a_corpus_is_copied_with_a_template_that_shows_it(tmp_path: Path) -> None:
    corpus = tmp_path / "docs"
    (corpus / "deep").mkdir(parents=True)
    (corpus / "deep" / "a.md").write_text("Facts.")
    (corpus / "b.pdf").write_text("not a document")

    report = done(csv_file(tmp_path, *labelled(20)), tmp_path, corpus=corpus)

    assert report.skill.context is not None
    assert report.skill.corpus is not None
    copied = [path.name for path in report.skill.corpus.rglob("*") if path.is_file()]
    assert copied == ["a.md"]


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "there is no folder"), ({}, "has no .md or .txt document")],
    ids=["missing", "empty"],
)
def test_a_corpus_that_is_none_is_refused(
    tmp_path: Path, content: dict[str, bytes] | None, message: str
) -> None:
    corpus = tmp_path / "docs"
    if content is not None:
        corpus.mkdir()

    with pytest.raises(SkillError, match=message):
        done(csv_file(tmp_path, *labelled(20)), tmp_path, corpus=corpus)


def test_bad_documents_are_bad_lines(tmp_path: Path) -> None:
    corpus = tmp_path / "docs"
    corpus.mkdir()
    (corpus / "a.md").write_bytes(b"ok")
    (corpus / "b.md").write_bytes(b"x\xff")
    (corpus / "c.txt").write_bytes(b" \n")
    file = csv_file(tmp_path, *labelled(20))

    with pytest.raises(SkillError, match=r"b\.md: is not UTF-8: byte 2\n.*c\.txt: is empty"):
        done(file, tmp_path, corpus=corpus)
    report = done(file, tmp_path, corpus=corpus, skip_bad=True)

    assert len(report.left_out) == 2


def test_very_long_labels_are_left_out_of_the_template_with_a_note(tmp_path: Path) -> None:
    lines = [f"t{n},{'very ' * 20}long label {n % 100}" for n in range(1000)]

    report = done(csv_file(tmp_path, *lines), tmp_path, task="classification")

    assert len(report.skill.labels) == 100
    assert any("does not list them" in note for note in report.notes)


def test_squad_paragraphs_stay_in_one_split_and_keep_their_spans(tmp_path: Path) -> None:
    paragraphs = [
        {
            "context": f"Number {n} is called name{n}.",
            "qas": [
                {"question": f"{w} {n}?", "answers": [{"text": f"name{n}", "answer_start": s}]}
                for w in ("Who is", "What is")
                for s in [len(f"Number {n} is called ")]
            ],
        }
        for n in range(10)
    ]
    file = tmp_path / "set.json"
    file.write_text(json.dumps({"data": [{"title": "Names", "paragraphs": paragraphs}]}))

    skill = import_skill(Import(file=file, name="squad-like"), home=tmp_path).skill

    assert (skill.task, skill.scorer, skill.scorers) == ("question", "exact", ("f1",))
    assert skill.context is not None
    assert skill.corpus is not None
    assert len({(item.cluster, item.split) for item in skill.items}) == 10
    for item in skill.items:
        text = (skill.corpus / item.gold[0].document).read_text()
        assert text[item.gold[0].start : item.gold[0].end] == item.targets[0]


def test_a_name_that_is_taken_is_refused_before_the_file_is_read(tmp_path: Path) -> None:
    done(csv_file(tmp_path, *labelled(20)), tmp_path)

    with pytest.raises(SkillError, match="there is a skill 'made' already"):
        done(tmp_path / "nowhere.csv", tmp_path)


def test_other_ratios_are_kept(tmp_path: Path) -> None:
    ratio = Ratio(train=0.0, dev=0.5, test=0.5)

    skill = done(csv_file(tmp_path, *labelled(40)), tmp_path, ratio=ratio).skill

    assert (len(skill.training_items), len(skill.dev_items), len(skill.test_items)) == (0, 20, 20)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the public data are not here")
def test_banking77_becomes_a_classification_with_77_labels(tmp_path: Path) -> None:
    columns = Columns(input="text", target="category")
    order = Import(file=SHARED / "banking77" / "train.csv", name="banking77", columns=columns)

    skill = import_skill(order, home=tmp_path).skill

    assert (skill.task, skill.scorer, len(skill.labels)) == ("classification", "label", 77)
    assert len(skill.items) == 10_003
    assert {item.targets[0] for item in skill.test_items} == set(skill.labels)
    tested = {normal_form(item.input) for item in skill.test_items}
    assert not any(normal_form(item.input) in tested for item in skill.training_items)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the public data are not here")
@pytest.mark.parametrize(
    ("name", "task", "scorer", "labels"),
    [
        ("boolean_expressions", "classification", "label", 2),
        ("date_understanding", "classification", "label", 6),
        ("object_counting", "question", "number", 0),
        ("snarks", "classification", "label", 2),
        ("word_sorting", "question", "exact", 0),
    ],
)
def test_big_bench_hard_needs_no_flags(
    tmp_path: Path, name: str, task: str, scorer: str, labels: int
) -> None:
    order = Import(file=SHARED / "bbh" / f"{name}.json", name="bbh")

    skill = import_skill(order, home=tmp_path).skill

    assert (skill.task, skill.scorer, len(skill.labels)) == (task, scorer, labels)
    assert len(skill.test_items) >= 35
