"""The bundled skills keep what they promise: counts, splits, gold spans, templates, look-alikes.

Reads the committed files alone; does not use the product's own loader.
"""

from __future__ import annotations

import json
import re
import string
import subprocess
import sys
import tomllib
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
BUNDLED = ROOT / "rag_adapt" / "skills" / "bundled"
SKILLS = ("manual", "orders", "past-tense", "support")
WITH_CORPUS = ("manual", "orders", "support")
MODELS = ("Sorrel", "Tansy", "Yarrow", "Borage")
SERIES = ("Alder", "Rowan", "Hazel", "Linden")
LEAST = {"train": 200, "dev": 40, "test": 100}
CARD = {
    "name": str,
    "title": str,
    "description": str,
    "task": str,
    "scorer": str,
    "scorers": list,
    "labels": list,
    "max_tokens": int,
    "stop": list,
    "cluster": str,
    "unique_targets": bool,
    "licence": str,
    "source": str,
}

each_skill = pytest.mark.parametrize("skill", SKILLS)
each_corpus = pytest.mark.parametrize("skill", WITH_CORPUS)


@cache
def items(skill: str) -> list[dict[str, Any]]:
    lines = (BUNDLED / skill / "items.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@cache
def card(skill: str) -> dict[str, Any]:
    return tomllib.loads((BUNDLED / skill / "skill.toml").read_text(encoding="utf-8"))


@cache
def corpus(skill: str) -> dict[str, str]:
    folder = BUNDLED / skill / "corpus"
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.md"))}


def templates(skill: str) -> dict[str, dict[str, str]]:
    folder = BUNDLED / skill / "templates"
    return {p.stem: tomllib.loads(p.read_text(encoding="utf-8")) for p in folder.glob("*.toml")}


def of_split(skill: str, split: str) -> list[dict[str, Any]]:
    return [item for item in items(skill) if item["split"] == split]


def passages(skill: str, item: dict[str, Any]) -> list[str]:
    return [corpus(skill)[g["document"]][g["start"] : g["end"]] for g in item["gold"]]


def skeleton(text: str) -> str:
    return " ".join(re.sub(r"[^a-z\s]", " ", text.lower()).split())


def squad(text: str) -> str:
    kept = "".join(c for c in text.lower() if c not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", kept).split())


def facts() -> dict[str, list[str]]:
    """The manual's value of each attribute for each model, by `page.attribute`."""
    path = ROOT / "benchmarks" / "bundled_skills" / "manual_facts.toml"
    pages = tomllib.loads(path.read_text(encoding="utf-8"))
    return {f"{p}.{a}": row["values"] for p, rows in pages.items() for a, row in rows.items()}


def test_generators_write_what_is_committed() -> None:
    command = [sys.executable, "-m", "benchmarks.bundled_skills", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_bundled_folder_is_listed_here() -> None:
    found = {path.parent.name for path in BUNDLED.glob("*/skill.toml")}
    assert found == set(SKILLS)


@each_skill
def test_card_has_exactly_the_known_keys_with_their_types(skill: str) -> None:
    assert {key: type(value) for key, value in card(skill).items()} == CARD
    assert card(skill)["name"] == skill
    assert card(skill)["task"] in {"classification", "extraction", "question", "text"}


@each_skill
def test_items_have_only_known_keys_and_sound_values(skill: str) -> None:
    required = {"id", "input", "targets", "split", "cluster"}
    for item in items(skill):
        assert required <= set(item) <= required | {"gold", "tags"}
        assert re.fullmatch(r"[a-z0-9-]+", item["id"])
        assert item["input"].strip() == item["input"] != ""
        assert item["targets"]
        assert all(target.strip() for target in item["targets"])


@each_skill
@pytest.mark.parametrize("split", LEAST)
def test_every_split_is_large_enough(skill: str, split: str) -> None:
    assert len(of_split(skill, split)) >= LEAST[split]


@each_skill
def test_test_split_has_at_least_fifty_clusters(skill: str) -> None:
    assert len({item["cluster"] for item in of_split(skill, "test")}) >= 50


@each_skill
def test_no_cluster_is_in_two_splits(skill: str) -> None:
    pairs = {(item["cluster"], item["split"]) for item in items(skill)}
    assert max(Counter(cluster for cluster, _ in pairs).values()) == 1


@each_skill
def test_ids_and_inputs_are_unique(skill: str) -> None:
    for key in ("id", "input"):
        assert max(Counter(item[key] for item in items(skill)).values()) == 1


@each_skill
def test_no_test_input_is_a_near_duplicate_of_a_seen_one(skill: str) -> None:
    seen = {skeleton(i["input"]) for split in ("train", "dev") for i in of_split(skill, split)}
    assert not seen & {skeleton(item["input"]) for item in of_split(skill, "test")}


@each_skill
def test_targets_are_unique_where_that_is_declared(skill: str) -> None:
    first = Counter(squad(item["targets"][0]) for item in items(skill))
    assert not card(skill)["unique_targets"] or max(first.values()) == 1


@each_skill
def test_templates_use_only_legal_placeholders(skill: str) -> None:
    found = templates(skill)
    legal = {"input", "labels", "context"}
    for name, template in found.items():
        assert set(template) == {"system", "user"}
        for text in template.values():
            parsed = list(string.Formatter().parse(text))
            names = {field for _, field, _, _ in parsed if field is not None}
            assert names <= (legal if name == "context" else legal - {"context"})
            assert not any(spec or conversion for _, _, spec, conversion in parsed)
        assert "{input}" in template["user"]
    assert "prompt" in found
    assert ("context" in found) == (skill in WITH_CORPUS)
    assert "context" not in found or "{context}" in found["context"]["user"]


@each_skill
def test_no_template_shows_an_item(skill: str) -> None:
    for template in templates(skill).values():
        text = skeleton(template["user"].format(input="", labels="", context=""))
        long = [i for i in items(skill) if len(i["input"].split()) > 3]
        assert not [i["id"] for i in long if skeleton(i["input"]) in text]


@each_skill
def test_files_are_small(skill: str) -> None:
    files = [path for path in (BUNDLED / skill).rglob("*") if path.is_file()]
    assert max(path.stat().st_size for path in files) < 500_000


@each_corpus
def test_gold_spans_lie_in_their_documents(skill: str) -> None:
    for item in items(skill):
        assert item["gold"]
        for gold in item["gold"]:
            assert 0 <= gold["start"] < gold["end"] <= len(corpus(skill)[gold["document"]])


def test_manual_is_a_real_manual() -> None:
    pages = corpus("manual")
    assert len(pages) >= 30
    assert sum(len(text.split()) for text in pages.values()) >= 15_000
    assert all(text.startswith("# ") for text in pages.values())


def test_manual_asks_for_at_least_120_facts() -> None:
    assert len({item["cluster"] for item in items("manual")}) >= 120


def test_manual_gold_spans_state_the_first_target() -> None:
    for item in items("manual"):
        for passage in passages("manual", item):
            assert item["targets"][0] in passage


def test_manual_asks_for_an_attribute_in_one_split_only() -> None:
    pairs = {(item["tags"][0], item["tags"][2], item["split"]) for item in items("manual")}
    assert max(Counter(pair[:2] for pair in pairs).values()) == 1


def test_manual_asks_for_each_test_attribute_of_one_model_only() -> None:
    pairs = {tuple(item["tags"]) for item in of_split("manual", "test")}
    assert max(Counter((page, attribute) for page, _, attribute in pairs).values()) == 1


def test_manual_siblings_differ_in_every_value() -> None:
    for name, values in facts().items():
        numbers = {squad(re.sub(r"^([\d.]+) .*", r"\1", value)) for value in values}
        assert len(numbers) == len(MODELS), name


def test_every_manual_test_question_has_a_look_alike_passage() -> None:
    text = "\n".join(corpus("manual").values())
    for item in of_split("manual", "test"):
        page, model, attribute = item["tags"]
        values = facts()[f"{page}.{attribute}"]
        own = values[[name.lower() for name in MODELS].index(model)]
        assert own == item["targets"][0]
        others = set(values) - {own}
        assert len(others) == 3
        assert all(other in text for other in others)


def test_orders_gold_rows_hold_all_parts_of_the_code() -> None:
    for item in items("orders"):
        rows = passages("orders", item)
        codes = [row.split("|")[2].strip() for row in rows]
        goods, delivery = item["targets"][0].split(" @")
        for group in goods.split():
            assert {group[1:4], group[4], group[5:7]} <= set(codes)
        assert set(delivery) <= set(codes)


def test_orders_targets_differ_after_normalisation() -> None:
    codes = Counter(squad(item["targets"][0]) for item in items("orders"))
    assert max(codes.values()) == 1


def test_support_replies_are_one_line_of_four_fields() -> None:
    for item in items("support"):
        (target,) = item["targets"]
        reply = json.loads(target)
        assert {key: type(value) for key, value in reply.items()} == {
            "order": str,
            "part": str,
            "action": str,
            "days": int,
        }
        assert "\n" not in target
        assert reply["order"] in item["input"]


def test_support_gold_states_part_action_and_days() -> None:
    for item in items("support"):
        reply = json.loads(item["targets"][0])
        (passage,) = passages("support", item)
        for value in (reply["part"], reply["action"], f"{reply['days']} days"):
            assert re.search(rf"\b{re.escape(value)}\b", passage)


def test_every_support_complaint_has_a_look_alike_with_another_answer() -> None:
    for item in of_split("support", "test"):
        kind, series, _ = item["tags"]
        part = item["cluster"].removeprefix(f"{series}-{kind}-").replace("-", " ")
        for other in SERIES:
            page = corpus("support")[f"{other}-{kind}.md".lower()].lower()
            entry = next(line for line in page.splitlines() if re.search(rf"\b{part} of the", line))
            stated = json.loads(item["targets"][0])["part"].lower() in entry
            assert stated == (other.lower() == series)


def test_past_tense_targets_change_the_verb_alone() -> None:
    for item in items("past-tense"):
        before = item["input"].split()
        for target in item["targets"]:
            after = target.split()
            assert sum(one != other for one, other in zip(before, after, strict=True)) == 1


def test_past_tense_leaves_no_sentence_as_it_is() -> None:
    same = [item["id"] for item in items("past-tense") if item["input"] in item["targets"]]
    assert same == []
