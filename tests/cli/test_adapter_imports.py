"""`rag-adapt adapters import`, on a tiny model."""

import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from rag_adapt.adapters.card import Card
from rag_adapt.adapters.check import CONFIG_FILE, WEIGHTS_FILE
from rag_adapt.cli.app import run
from rag_adapt.core.errors import AdapterError
from tests.samples import write_skill

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Tiny tensors gain nothing from several threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def trained(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store's folder of an adapter that was trained in another home."""
    place = tmp_path_factory.mktemp("elsewhere")
    skill = write_skill(place / "colours")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAG_ADAPT_MODEL", str(tiny_model))
        patch.setenv("RAG_ADAPT_DETERMINISTIC", "true")
        options = ["--lr", "0.005", "--epochs", "2"]
        assert run(["--home", str(place / "home"), "adapters", "train", str(skill), *options]) == 0
    (folder,) = (place / "home" / "adapters").glob("colours@*")
    return folder


@pytest.fixture
def sent(trained: Path, tmp_path: Path) -> Path:
    """The two files alone."""
    folder = tmp_path / "sent"
    folder.mkdir()
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        shutil.copyfile(trained / name, folder / name)
    return folder


@pytest.fixture(autouse=True)
def settings(tiny_model: Path, own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny model in deterministic mode, and the skill."""
    monkeypatch.setenv("RAG_ADAPT_MODEL", str(tiny_model))
    monkeypatch.setenv("RAG_ADAPT_DETERMINISTIC", "true")
    monkeypatch.setenv("RAG_ADAPT_EMBEDDER", "hashing")
    write_skill(own_folder / ".rag-adapt" / "skills" / "colours")


def imported(source: Path, capsys: Captured, *more: str) -> Card:
    capsys.readouterr()
    options = ["--name", "hues", "--skill", "colours", "--json", *more]
    assert run(["adapters", "import", str(source), *options]) == 0
    return Card.model_validate_json(capsys.readouterr().out)


def test_a_folder_becomes_an_adapter_with_the_digits_that_it_had(
    sent: Path, trained: Path, capsys: Captured
) -> None:
    card = imported(sent, capsys)
    assert card.version == trained.name.replace("colours", "hues")
    assert (card.skill, card.settings.rank, card.with_context) == ("colours", 8, False)
    assert run(["adapters", "prove", "hues"]) == 0


def test_what_nobody_knows_about_it_is_not_on_its_card(sent: Path, capsys: Captured) -> None:
    card = imported(sent, capsys)
    assert card.imported is not None
    assert card.imported.claimed_base
    unknown = (card.skill_hash, card.items_hash, card.examples, card.seconds, card.tokens)
    assert unknown == (None,) * 5
    assert (card.settings.learning_rate, card.settings.seed, card.learned_from) == (None,) * 3
    with pytest.raises(AdapterError, match="nobody here knows its training"):
        card.trained()


def test_the_card_of_a_training_must_be_whole(trained: Path) -> None:
    kept = json.loads((trained / "card.json").read_text())
    assert Card.model_validate(kept).trained().examples == 6
    with pytest.raises(ValueError, match="has no examples"):
        Card.model_validate({**kept, "examples": None})


def test_it_is_listed_and_shown_as_imported(sent: Path, capsys: Captured) -> None:
    assert run(["adapters", "import", str(sent), "--name", "hues", "--skill", "colours"]) == 0
    printed = capsys.readouterr()
    assert "rag-adapt adapters prove hues@" in printed.out
    assert "probe: 1/1" in printed.err
    assert run(["adapters", "list"]) == 0
    assert "imported" in capsys.readouterr().out
    assert run(["adapters", "show", "hues"]) == 0
    assert "imported" in capsys.readouterr().out


def test_an_archive_does_as_well_and_half_precision_too(sent: Path, capsys: Captured) -> None:
    weights = load_file(sent / WEIGHTS_FILE)
    save_file({name: t.to(torch.bfloat16) for name, t in weights.items()}, sent / WEIGHTS_FILE)
    with tarfile.open(sent.parent / "a.tgz", "w:gz") as archive:
        archive.add(sent, "colours")
    imported(sent.parent / "a.tgz", capsys)
    assert run(["adapters", "prove", "hues"]) == 0


def test_an_adapter_with_context_is_probed_with_passages(sent: Path, capsys: Captured) -> None:
    card = imported(sent, capsys, "--context")
    assert card.with_context
    probe = json.loads(Path(".rag-adapt/adapters", card.version, "probe.json").read_text())
    assert max(len(prompt["prompt_ids"]) for prompt in probe["prompts"]) > 100


def test_weights_of_some_modules_alone_are_taken_for_those(sent: Path, capsys: Captured) -> None:
    weights = load_file(sent / WEIGHTS_FILE)
    save_file({n: t for n, t in weights.items() if ".0." in n}, sent / WEIGHTS_FILE)
    card = imported(sent, capsys)
    config = json.loads(Path(".rag-adapt/adapters", card.version, CONFIG_FILE).read_text())
    assert all(".0." in target for target in config["target_modules"])
    assert run(["adapters", "prove", "hues"]) == 0


@pytest.mark.parametrize(
    ("fill", "fact"),
    [(0.0, "changes nothing"), (float("nan"), "computes no numbers")],
    ids=["zeros", "no numbers"],
)
def test_weights_that_do_nothing_or_harm_are_not_published(
    sent: Path, fill: float, fact: str, capsys: Captured
) -> None:
    weights = load_file(sent / WEIGHTS_FILE)
    save_file({name: torch.full_like(t, fill) for name, t in weights.items()}, sent / WEIGHTS_FILE)
    assert run(["adapters", "import", str(sent), "--name", "hues", "--skill", "colours"]) == 2
    assert fact in capsys.readouterr().err
    assert run(["adapters", "show", "hues"]) == 2


def test_an_adapter_of_another_base_is_refused(sent: Path, capsys: Captured) -> None:
    weights = load_file(sent / WEIGHTS_FILE)
    longer = {n: torch.cat([t, t]) if "lora_B" in n else t for n, t in weights.items()}
    save_file(longer, sent / WEIGHTS_FILE)
    assert run(["adapters", "import", str(sent), "--name", "hues", "--skill", "colours"]) == 2
    assert "numbers a vector" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "fact"),
    [
        ([], "needs a folder"),
        (["sent", "--upload", "0" * 12], "needs a folder"),
        (["--upload", "0" * 12], "waits to be imported"),
        (["nowhere"], "there is no 'nowhere'"),
        (["."], "holds no 'adapter_config.json'"),
        (["sent", "--name", "H!"], "cannot name an adapter"),
        (["sent", "--skill", "ghost"], "no skill 'ghost'"),
    ],
    ids=["nothing", "both", "no upload", "no folder", "no adapter", "name", "skill"],
)
def test_what_cannot_be_imported_is_refused_before_anything_is_loaded(
    sent: Path, arguments: list[str], fact: str, capsys: Captured
) -> None:
    assert run(["adapters", "import", "--name", "hues", "--skill", "colours", *arguments]) == 2
    printed = capsys.readouterr().err
    assert fact in printed
    assert "try:" in printed


def test_context_without_a_template_for_it_is_refused(
    sent: Path, own_folder: Path, capsys: Captured
) -> None:
    shutil.rmtree(own_folder / ".rag-adapt" / "skills" / "colours")
    write_skill(own_folder / ".rag-adapt" / "skills" / "colours", corpus=False)
    (own_folder / ".rag-adapt/skills/colours/templates/context.toml").unlink(missing_ok=True)
    options = ["--name", "hues", "--skill", "colours", "--context"]
    assert run(["adapters", "import", str(sent), *options]) == 2
    assert "no template that shows passages" in capsys.readouterr().err
