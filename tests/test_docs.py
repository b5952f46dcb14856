"""The documents run: code blocks are executed, commands and links exist."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from rag_adapt.cli.app import run
from rag_adapt.settings import Settings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
MAKEFILE = (ROOT / "Makefile").read_text()


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.M | re.S)


def test_the_readmes_commands_run_one_after_another(
    own_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RAG_ADAPT_ENGINE", "scripted")
    monkeypatch.setenv("RAG_ADAPT_EMBEDDER", "hashing")
    ran = 0
    for line in "\n".join(blocks(README, "sh")).splitlines():
        command = line.split("#")[0].strip()
        if command.startswith("make "):
            assert re.search(rf"^{command.split()[1]}:", MAKEFILE, flags=re.M), command
        elif command.startswith("rag-adapt "):
            assert run(shlex.split(command)[1:]) == 0, (command, capsys.readouterr().err)
        elif command:
            subprocess.run(command, shell=True, check=True, cwd=own_folder)
        ran += bool(command)
    assert ran >= 8


def test_the_readmes_python_runs() -> None:
    found = blocks(README, "python")
    assert found
    for block in found:
        exec(compile(block, "README.md", "exec"), {})


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_to_a_file_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", document.read_text()):
        assert (document.parent / target).exists(), target


def test_every_setting_is_documented() -> None:
    text = (ROOT / "docs" / "settings.md").read_text()
    missing = [name for name in Settings.model_fields if f"`{name}`" not in text]
    assert missing == []


def test_every_make_target_of_the_documents_exists() -> None:
    for document in DOCUMENTS:
        for target in re.findall(r"`make ([a-z-]+)", document.read_text()):
            assert re.search(rf"^{target}:", MAKEFILE, flags=re.M), (document.name, target)
