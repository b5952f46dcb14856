"""The whole main job on a tiny model: index, train, prove, ask, report, read again."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from rag_adapt.bench.arms import ARMS
from rag_adapt.bench.figures import schema
from rag_adapt.cli.app import run
from tests.engines.loopback import serve
from tests.engines.test_remote import says
from tests.samples import write_skill

ARGUMENTS = ["--embedder", "hashing", "--latency-items", "1", "--epochs", "3", "--lr", "2e-3"]
ARGUMENTS += ["--no-guard", "--no-probe"]


@pytest.fixture
def skill(own_folder: Path) -> Path:
    return write_skill(own_folder / "colours")


def bench(skill: Path, model: Path, *more: str) -> int:
    return run(["bench", str(skill), "--model", str(model), *ARGUMENTS, *more])


def test_every_arm_is_measured_and_the_report_follows_its_schema(
    skill: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench(skill, tiny_model, "--arms", "all", "--guard", "--probe", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    jsonschema.validate(report, schema())
    arms = {arm["arm"]: arm for arm in report["arms"]}
    assert list(arms) == list(ARMS)
    assert {name: arm["reason"] for name, arm in arms.items() if not arm["measured"]} == {}
    assert {arm["n"] for arm in arms.values()} == {6}
    assert [one["proven"] for one in arms["lora"]["adapters"]] == [True]
    guarded = {row["name"] for one in arms["lora"]["adapters"] for row in one["guard"]}
    assert {"off-identical", "a-b-a", "bits-per-byte", "kl"} <= guarded
    (readout,) = report["readouts"]
    assert readout["depth"] in ("known", "latent", "absent", "undecided")
    assert run(["runs", "atlas", "--json"]) == 0
    (evidence,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (evidence["skill"], evidence["depth"]) == ("colours", readout["depth"])
    assert arms["lora"]["latency_n"] == 1
    assert arms["rag"]["collection"]["documents"] == 1
    assert len(report["run"]["model"]["weights"]) == 64


def test_a_second_run_answers_from_the_cache_with_the_same_scores_and_no_latency(
    skill: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = _report(skill, tiny_model, capsys)
    second = _report(skill, tiny_model, capsys)
    assert first["run"]["id"] != second["run"]["id"]
    for before, after in zip(first["arms"], second["arms"], strict=True):
        assert before["score"] == after["score"]
        assert before["tokens_out"] == after["tokens_out"]
        if before["arm"] != "nearest-label":
            assert after["latency_p50"] is None
            assert after["cached"] == 6
    adapters = {one["version"] for arm in first["arms"] + second["arms"] for one in arm["adapters"]}
    assert {name.partition("@")[0] for name in adapters} == {"colours", "colours-context"}
    assert len(adapters) == 2


def test_scores_can_be_recomputed_from_the_kept_answers(
    skill: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = _report(skill, tiny_model, capsys, "--repeats", "2", "--temperature", "1")
    lines = Path(".rag-adapt/runs", report["run"]["id"], "answers.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    for arm in report["arms"]:
        by_item: dict[str, list[float]] = {}
        for row in rows:
            if row["arm"] == arm["arm"]:
                by_item.setdefault(row["item"], []).append(row["score"])
        means = [sum(scores) / len(scores) for scores in by_item.values()]
        assert arm["score"] == pytest.approx(sum(means) / len(means))
        assert {len(scores) for scores in by_item.values()} == {2}


def test_a_skill_without_corpus_has_rag_not_measured_with_the_reason(
    own_folder: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    skill = write_skill(own_folder / "plain", corpus=False)
    assert bench(skill, tiny_model, "--arms", "prompt,rag,rag+lora,oracle", "--json") == 0
    arms = {arm["arm"]: arm for arm in json.loads(capsys.readouterr().out)["arms"]}
    assert arms["prompt"]["measured"]
    for name in ("rag", "rag+lora", "oracle"):
        assert (arms[name]["measured"], arms[name]["reason"]) == (False, "not measured: no corpus")


def test_the_scripted_engine_measures_what_needs_no_adapter(
    skill: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["bench", str(skill), "--engine", "scripted", *ARGUMENTS, "--json"]
    assert run(arguments) == 0
    arms = {arm["arm"]: arm for arm in json.loads(capsys.readouterr().out)["arms"]}
    assert arms["rag"]["measured"]
    assert "cannot be trained" in arms["lora"]["reason"]


def test_runs_are_listed_shown_and_exported(
    skill: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bench", str(skill), "--engine", "scripted", *ARGUMENTS, "--items", "2"]) == 0
    printed = capsys.readouterr().out
    assert "colours: 2 of 6 test items" in printed
    assert "A small budget" in printed
    assert run(["runs", "list"]) == 0
    assert "complete" in capsys.readouterr().out
    assert run(["runs", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["state"] == "complete"
    assert run(["runs", "show", "last"]) == 0
    assert "colours: 2 of 6 test items" in capsys.readouterr().out
    assert run(["runs", "show", "last", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["schema_version"] == "2.1"
    assert run(["runs", "show", "last", "--markdown"]) == 0
    assert "\n| prompt | 0.0 [" in capsys.readouterr().out
    assert run(["runs", "export", "last", "--out", "answers.csv"]) == 0
    assert "8 answers" in capsys.readouterr().out
    assert run(["runs", "export", "last"]) == 0
    assert capsys.readouterr().out.startswith("skill,arm,item")


def test_a_dry_run_asks_nothing(skill: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", str(skill), "--dry-run"]) == 0
    assert "Nothing was asked" in capsys.readouterr().out
    assert run(["bench", str(skill), "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["answers"] == 36
    assert not Path(".rag-adapt").exists()


def test_the_schema_is_published(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "--schema"]) == 0
    jsonschema.Draft202012Validator.check_schema(json.loads(capsys.readouterr().out))


@pytest.mark.parametrize("route", ["prompt", "rag", "lora"])
def test_one_question_is_answered_through_a_route_with_its_trace(
    route: str,
    skill: Path,
    tiny_model: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAG_ADAPT_DETERMINISTIC", "1")  # two steps of training move little
    arguments = ["answer", "thing 9: red", "--skill", str(skill), "--route", route, "--trace"]
    assert run([*arguments, "--model", str(tiny_model), "--embedder", "hashing"]) == 0
    shown = json.loads(capsys.readouterr().out)
    last = shown["trace"]["events"][-1]
    assert last["name"] == "generate"
    assert "thing 9: red" in last["detail"]["call"]["messages"][-1]["content"]
    assert last["detail"]["token_ids"]
    assert (last["detail"]["adapter"] is not None) == (route == "lora")


def test_an_answer_without_trace_is_the_text_alone(
    skill: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["answer", "thing: red", "--skill", str(skill), "--route", "bare"]
    assert run([*arguments, "--engine", "scripted", "--embedder", "hashing"]) == 0
    assert capsys.readouterr().out == "thing: red\n"


def test_a_route_that_needs_a_corpus_says_so(
    own_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    skill = write_skill(own_folder / "plain", corpus=False)
    arguments = ["answer", "x", "--skill", str(skill), "--route", "rag"]
    assert run([*arguments, "--engine", "scripted", "--embedder", "hashing"]) == 2
    assert "no corpus" in capsys.readouterr().err


def _report(
    skill: Path, model: Path, capsys: pytest.CaptureFixture[str], *more: str
) -> dict[str, Any]:
    arms = "prompt,rag,lora,rag+lora,bare,nearest-label"
    assert bench(skill, model, "--arms", arms, "--json", *more) == 0
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    return report


def test_a_langchain_retriever_named_by_a_flag_takes_the_place_of_ours(
    skill: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["answer", "thing: red", "--skill", str(skill), "--route", "rag", "--trace"]
    plug = ["--retriever", "tests.plugged_retriever:make"]
    assert run([*arguments, "--engine", "scripted", "--embedder", "hashing", *plug]) == 0
    events = json.loads(capsys.readouterr().out)["trace"]["events"]
    assert events[0]["detail"]["mode"] == "tests.plugged_retriever:make"
    assert "Plugged in for thing: red" in events[-1]["detail"]["call"]["messages"][-1]["content"]


def test_a_retriever_that_cannot_be_imported_is_named(
    skill: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["answer", "x", "--skill", str(skill), "--route", "rag", "--engine", "scripted"]
    assert run([*arguments, "--embedder", "hashing", "--retriever", "nosuch.module:f"]) == 2
    assert "nosuch.module" in capsys.readouterr().err


def test_a_remote_server_is_an_engine_like_any_other_but_adapters_are_not_trained_for_it(
    skill: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serve(says("red")) as server:
        remote = ["--engine", "remote", "--model", "hosted_vllm/base", "--api-base", server.url]
        arguments = ["bench", str(skill), *remote, "--arms", "prompt,lora", *ARGUMENTS, "--json"]
        assert run(arguments) == 0
    arms = {arm["arm"]: arm for arm in json.loads(capsys.readouterr().out)["arms"]}
    kept = next(Path(".rag-adapt/runs").glob("*/answers.jsonl")).read_text()
    assert arms["prompt"]["failure_codes"] == {}, kept
    assert (arms["prompt"]["score"], arms["prompt"]["tokens_in"]) == (0.5, 42)
    assert "cannot be trained for the remote engine" in arms["lora"]["reason"]


def test_cross_fitting_tests_every_item_by_what_never_saw_it(
    skill: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = _report(
        skill, tiny_model, capsys, "--arms", "prompt,lora", "--folds", "2", "--tune", "8"
    )
    lines = Path(".rag-adapt/runs", report["run"]["id"], "answers.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    items = (skill / "items.jsonl").read_text().splitlines()
    everything = {json.loads(line)["id"] for line in items}
    for arm in ("prompt", "lora"):
        assert {row["item"] for row in rows if row["arm"] == arm} == everything
        assert {row["fold"] for row in rows if row["arm"] == arm} == {0, 1}
    arms = {arm["arm"]: arm for arm in report["arms"]}
    assert arms["lora"]["n"] == len(everything)
    assert [one["fold"] for one in arms["lora"]["adapters"]] == [0, 1]
    assert [one["fold"] for one in arms["prompt"]["given"]] == [0, 1]
    (pair,) = report["pairs"]
    assert (pair["a"], pair["b"], pair["n"]) == ("prompt", "lora", len(everything))


def test_training_seeds_are_told_apart_and_the_same_route_twice_is_no_difference(
    skill: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = _report(
        skill,
        tiny_model,
        capsys,
        *("--arms", "prompt,lora,prompt-twin", "--train-seeds", "2", "--tune", "0"),
        *("--contrast", "prompt:prompt-twin", "--deterministic"),
    )
    arms = {arm["arm"]: arm for arm in report["arms"]}
    assert list(arms["lora"]["seeds"]) == ["0", "1"]
    assert len({one["version"] for one in arms["lora"]["adapters"]}) == 2
    lora, twin = report["pairs"]
    assert (lora["primary"], twin["primary"]) == (True, False)
    assert (twin["fixed"], twin["broken"], twin["p"]) == (0, 0, 1.0)
    assert twin["verdict"] in ("non-inferior", "undecided")
    (advice,) = report["recommendations"]
    assert advice["route"] in ("prompt", "lora")
    assert set(advice["valid_for"]) >= {"skill", "model", "adapter-0", "adapter-1"}


def test_a_contrast_that_names_no_arm_of_the_run_is_refused(
    skill: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench(skill, tiny_model, "--arms", "prompt,bare", "--contrast", "prompt:rag") == 2
    error = capsys.readouterr().err
    assert "contrast 'prompt:rag'" in error
    assert "prompt, bare" in error


def test_the_run_leaves_a_page_and_its_dev_answers(
    skill: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = _report(skill, tiny_model, capsys, "--arms", "prompt", "--tune", "8")
    folder = Path(".rag-adapt/runs", report["run"]["id"])
    page = (folder / "report.html").read_text()
    assert report["recommendations"][0]["sentence"].split("(")[0] in page
    dev = [json.loads(line) for line in (folder / "dev.jsonl").read_text().splitlines()]
    (given,) = report["arms"][0]["given"]
    assert len(dev) == given["spent"] == 4
    assert {row["item"] for row in dev} == {"dev-0", "dev-1"}


def test_lora_can_learn_from_the_documents_too(
    skill: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = _report(
        skill, tiny_model, capsys, "--arms", "lora", "--from", "both", "--corpus-rows", "3"
    )
    (arm,) = report["arms"]
    (adapter,) = arm["adapters"]
    assert arm["measured"] is True
    assert adapter["examples"] == 6 + 3
