"""`rag-adapt adapters` from training to removal, on a tiny model."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from rag_adapt.adapters.check import WEIGHTS_FILE
from rag_adapt.cli.app import run
from tests.samples import write_skill
from tests.test_interruptions import start

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Tiny tensors gain nothing from several threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def model(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny model as the one of the settings, in deterministic mode."""
    monkeypatch.setenv("RAG_ADAPT_MODEL", str(tiny_model))
    monkeypatch.setenv("RAG_ADAPT_DETERMINISTIC", "true")
    monkeypatch.setenv("RAG_ADAPT_EMBEDDER", "hashing")
    return tiny_model


@pytest.fixture
def version(own_folder: Path, model: Path, capsys: Captured) -> str:
    """A trained adapter."""
    skill = write_skill(own_folder / "colours")
    options = ["--name", "hues", "--lr", "0.005", "--epochs", "2", "--json"]
    assert run(["adapters", "train", str(skill), *options]) == 0
    card = json.loads(capsys.readouterr().out)
    assert (card["skill"], card["examples"], card["settings"]["epochs"]) == ("colours", 6, 2)
    return str(card["version"])


def test_training_prints_the_card_and_shows_progress(
    own_folder: Path, model: Path, capsys: Captured
) -> None:
    skill = write_skill(own_folder / "colours")
    options = ["--examples", "4", "--rank", "2", "--seed", "3", "--batch-size", "2"]
    assert run(["adapters", "train", str(skill), *options]) == 0
    printed = capsys.readouterr()
    assert "colours@" in printed.out
    assert "held-out bits/token" in printed.out
    assert "settings.rank" in printed.out
    assert "train: 2/2 loss" in printed.err


def test_the_continuous_figure_is_printed_before_all_others(
    own_folder: Path, model: Path, capsys: Captured
) -> None:
    skill = write_skill(own_folder / "colours")
    assert run(["adapters", "train", str(skill), "--gradient-checkpointing"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "held-out bits/token" in lines[3]
    assert "at step 2" in lines[4]
    assert "settings.gradient_checkpointing" in "".join(lines)


def test_general_data_is_mixed_in_and_named(
    own_folder: Path, model: Path, capsys: Captured
) -> None:
    skill = write_skill(own_folder / "colours")
    options = ["--general-share", "0.25", "--json"]
    assert run(["adapters", "train", str(skill), *options]) == 0
    printed = capsys.readouterr()
    card = json.loads(printed.out)
    names = [(source["name"], source["rows"]) for source in card["general"]]
    assert names == [("base-answers", 1), ("skill:manual", 1)]
    assert "general: " in printed.err


def test_a_sweep_prints_what_it_tried_and_trains_the_best(
    own_folder: Path, model: Path, capsys: Captured
) -> None:
    skill = write_skill(own_folder / "colours")
    options = ["--sweep", "--budget", "1", "--epochs", "2"]
    assert run(["adapters", "train", str(skill), *options]) == 0
    printed = capsys.readouterr()
    assert "sweep, on dev" in printed.out
    assert "general share" in printed.out
    assert "sweep: " in printed.err
    assert run(["adapters", "show", "colours", "--json"]) == 0
    card = json.loads(capsys.readouterr().out)
    (chosen,) = [trial for trial in card["sweep"] if trial["chosen"]]
    assert len(card["sweep"]) == 3
    assert card["settings"]["rank"] == chosen["rank"]
    assert card["settings"]["learning_rate"] == chosen["learning_rate"]


def test_documents_can_be_learned_alone_and_beside_examples(
    own_folder: Path, model: Path, capsys: Captured
) -> None:
    skill = write_skill(own_folder / "colours")
    made = {}
    for source in ("examples", "corpus", "both"):
        assert run(["adapters", "train", str(skill), "--from", source, "--json"]) == 0
        made[source] = json.loads(capsys.readouterr().out)
    assert {source: card["learned_from"] for source, card in made.items()} == {
        source: source for source in made
    }
    counts = {source: card["examples"] for source, card in made.items()}
    assert counts["corpus"] >= 1
    assert counts["both"] == counts["examples"] + counts["corpus"]


def test_without_documents_there_is_nothing_to_learn_from_them(
    own_folder: Path, model: Path, capsys: Captured
) -> None:
    skill = write_skill(own_folder / "colours", corpus=False)
    assert run(["adapters", "train", str(skill), "--from", "corpus"]) == 2
    assert "has no documents to learn from" in capsys.readouterr().err


def test_an_adapter_is_trained_with_retrieved_passages_and_says_so(
    own_folder: Path, model: Path, capsys: Captured
) -> None:
    skill = write_skill(own_folder / "colours")
    assert run(["adapters", "train", str(skill), "--context"]) == 0
    printed = capsys.readouterr()
    assert "colours-context@" in printed.out
    assert "context: 8/8" in printed.err  # six training items and two dev items
    assert run(["adapters", "show", "colours-context", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["with_context"] is True
    assert run(["adapters", "train", str(skill)]) == 0
    capsys.readouterr()
    assert run(["adapters", "list"]) == 0
    marks = {
        line.split("@")[0].split()[-1]: " yes " in line
        for line in capsys.readouterr().out.splitlines()
        if "@" in line
    }
    assert marks == {"colours-context": True, "colours": False}


def test_the_route_with_retrieval_answers_with_the_adapter_that_was_trained_for_it(
    own_folder: Path, model: Path, capsys: Captured
) -> None:
    skill = write_skill(own_folder / "colours")
    assert run(["adapters", "train", str(skill), "--context", "--json"]) == 0
    version = json.loads(capsys.readouterr().out)["version"]
    asked = ["answer", "Thing number 1?", "--skill", str(skill), "--route", "rag+lora", "--trace"]
    assert run(asked) == 0
    assert version in capsys.readouterr().out
    assert run(["adapters", "list", "--json"]) == 0
    assert [card["version"] for card in json.loads(capsys.readouterr().out)] == [version]


@pytest.mark.parametrize(
    ("options", "corpus", "named"),
    [
        pytest.param([], False, "has no corpus", id="nothing to retrieve"),
        pytest.param(["--from", "both"], True, "--context was given with --from both", id="both"),
        pytest.param(["--rank", "5"], True, "rank 5", id="a bad knob"),
    ],
)
def test_context_that_cannot_be_had_is_refused_before_anything_is_indexed(
    own_folder: Path, model: Path, options: list[str], corpus: bool, named: str, capsys: Captured
) -> None:
    skill = write_skill(own_folder / "colours", corpus=corpus)
    assert run(["adapters", "train", str(skill), "--context", *options]) == 2
    printed = capsys.readouterr().err
    assert named in printed
    assert "try:" in printed
    assert not (own_folder / "indexes").exists()


def test_ctrl_c_says_that_the_same_command_goes_on(
    own_folder: Path, tiny_model: Path, model: Path
) -> None:
    skill = write_skill(own_folder / "colours", train=40)
    command = ["adapters", "train", str(skill), "--epochs", "40", "--batch-size", "1"]
    process = start(own_folder, *command)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("train: 1") and "loss" in line:
            break
    process.send_signal(signal.SIGINT)
    _, printed = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command goes on from there" in printed
    assert "Traceback" not in printed
    assert len(list((own_folder / ".rag-adapt" / "adapters" / ".unfinished").iterdir())) == 1


def test_an_adapter_that_changes_nothing_is_said_to(
    own_folder: Path, model: Path, capsys: Captured
) -> None:
    skill = write_skill(own_folder / "colours")
    items = skill / "items.jsonl"
    lines = [json.loads(line) for line in items.read_text().splitlines()]
    wanted = {"train": "red", "dev": "blue"}
    kept = [line for line in lines if wanted.get(line["split"], "red") in line["targets"]]
    items.write_text("".join(json.dumps(line) + "\n" for line in kept))
    assert run(["adapters", "train", str(skill), "--lr", "0.1", "--epochs", "8"]) == 0
    assert "No step was better than the base model" in capsys.readouterr().err


def test_list_marks_the_current_version(version: str, capsys: Captured) -> None:
    assert run(["adapters", "list"]) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if version in line)
    assert "*" in row
    assert run(["adapters", "list", "--json"]) == 0
    assert [card["version"] for card in json.loads(capsys.readouterr().out)] == [version]


def test_an_adapter_without_a_card_is_named_beside_the_list(
    version: str, own_folder: Path, capsys: Captured
) -> None:
    (own_folder / ".rag-adapt" / "adapters" / version / "card.json").unlink()
    assert run(["adapters", "list"]) == 0
    assert f"{version}: its card cannot be read" in capsys.readouterr().err


def test_show_takes_a_name_and_verifies_the_files(
    version: str, own_folder: Path, capsys: Captured
) -> None:
    assert run(["adapters", "show", "hues", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["version"] == version
    weights = own_folder / ".rag-adapt" / "adapters" / version / WEIGHTS_FILE
    weights.write_bytes(weights.read_bytes()[:-8])
    assert run(["adapters", "show", "hues"]) == 2
    assert "is corrupt" in capsys.readouterr().err


def test_prove_prints_the_four_checks(version: str, capsys: Captured) -> None:
    assert run(["adapters", "prove", version, "--json"]) == 0
    proof = json.loads(capsys.readouterr().out)
    assert (proof["version"], proof["proven"]) == (version, True)
    names = [check["name"] for check in proof["checks"]]
    assert names == ["hash", "template", "canary", "parity"]


def test_an_unproven_adapter_ends_with_exit_code_1_and_its_reason(
    version: str, own_folder: Path, capsys: Captured
) -> None:
    file = own_folder / ".rag-adapt" / "adapters" / version / "probe.json"
    probe = json.loads(file.read_text())
    for prompt in probe["prompts"]:
        prompt["adapter"] = prompt["base"]
    file.write_text(json.dumps(probe))
    assert run(["adapters", "prove", version]) == 1
    printed = capsys.readouterr()
    assert "failed" in printed.out
    assert "was not shown to be active" in printed.err


def test_an_adapter_for_another_base_model_is_refused(
    version: str, own_folder: Path, capsys: Captured
) -> None:
    from tests.tiny_model import make_tiny_model

    other = make_tiny_model(own_folder / "other", seed=1)
    assert run(["adapters", "prove", version, "--model", str(other)]) == 2
    assert "was trained on" in capsys.readouterr().err


def test_remove_does_not_ask_if_told_so(version: str, capsys: Captured) -> None:
    assert run(["adapters", "remove", version, "--yes"]) == 0
    assert f"removed {version}" in capsys.readouterr().out
    assert run(["adapters", "show", version]) == 2


def test_a_declined_removal_keeps_the_adapter(
    version: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert run(["adapters", "remove", version]) == 0
    assert f"kept {version}" in capsys.readouterr().out
    assert run(["adapters", "show", version]) == 0


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--rank", "5"], "rank 5"),
        (["--lr", "7"], "learning rate 7.0"),
        (["--name", "Hues!"], "'Hues!' cannot name an adapter"),
        (["--examples", "0"], "--examples"),
        (["--general-share", "0.9"], "general share 0.9"),
        (["--device", "tpu"], "device"),
        (["--four-bit", "--device", "cpu"], "trains on a GPU alone"),
        (["--from", "nowhere"], "--from"),
    ],
)
def test_bad_options_are_refused_before_anything_is_loaded(
    own_folder: Path, model: Path, options: list[str], named: str, capsys: Captured
) -> None:
    skill = write_skill(own_folder / "colours")
    assert run(["adapters", "train", str(skill), *options]) == 2
    printed = capsys.readouterr().err
    assert named in printed
    assert "try:" in printed
