"""One template changed: checked with the whole skill, never over another's change."""

from pathlib import Path

import pytest

from rag_adapt.core.errors import SkillError
from rag_adapt.core.template import Template
from rag_adapt.skills.editing import MOST, TemplateChangedError, store_template
from rag_adapt.skills.load import load_skill
from tests.samples import write_skill


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_skill(tmp_path / "skills" / "colours")


def files(folder: Path) -> dict[str, bytes]:
    """Every file of the skill, and whatever lies beside it."""
    found = folder.parent.rglob("*")
    return {str(path): path.read_bytes() for path in sorted(found) if path.is_file()}


@pytest.mark.parametrize(
    "user", ['"{input}"', "\n{input}\n", "a\\b {input}\u2028\x07", '"""{input}"""', "{{é}} {input}"]
)
def test_a_stored_template_is_read_back_as_it_was_given(folder: Path, user: str) -> None:
    before = load_skill(folder)
    made = Template(system="One of {labels}.", user=user)
    stored = store_template(folder, made, replaces=before.prompt.hash)
    now = load_skill(folder)
    assert (now.prompt.system, now.prompt.user) == (made.system, made.user)
    assert (stored.before, stored.skill.data_hash) == (before.data_hash, now.data_hash)
    assert now.data_hash != before.data_hash
    assert sorted(path.name for path in folder.parent.iterdir()) == ["colours"]


def test_a_template_that_was_changed_meanwhile_is_not_written_over(folder: Path) -> None:
    seen = load_skill(folder).prompt.hash
    store_template(folder, Template(system="", user="{input}!"), replaces=seen)
    before = files(folder)
    for replaces in (seen, None):
        with pytest.raises(TemplateChangedError, match="'prompt' of skill 'colours' is not"):
            store_template(folder, Template(system="", user="{input}?"), replaces=replaces)
    made = Template(system="", user="{input}", name="prompt-two")
    with pytest.raises(TemplateChangedError, match="no longer there"):
        store_template(folder, made, replaces=seen)
    assert files(folder) == before


@pytest.mark.parametrize(
    ("template", "why"),
    [
        (Template(system="", user="{input} {context}", name="prompt-two"), "only context"),
        (Template(system="", user="{input}", name="context-two"), "never shows the passages"),
        (Template(system="", user="{input}", name="answer"), "no name for a template"),
    ],
    ids=["passages", "no passages", "name"],
)
def test_what_no_route_could_send_is_refused_and_nothing_changes(
    folder: Path, template: Template, why: str
) -> None:
    before = files(folder)
    with pytest.raises(SkillError, match=why) as caught:
        store_template(folder, template, replaces=None)
    assert str(folder.parent) not in str(caught.value)
    assert files(folder) == before


def test_a_new_template_is_added_until_there_are_too_many(folder: Path) -> None:
    for number in range(MOST - 2):
        text = f'system = ""\nuser = "{{input}}{number}"\n'
        (folder / "templates" / f"prompt-{number}.toml").write_text(text)
    made = Template(system="", user="{input}", name="prompt-more")
    with pytest.raises(SkillError, match=f"{MOST} are the most"):
        store_template(folder, made, replaces=None)
    (folder / "templates" / "prompt-0.toml").unlink()
    stored = store_template(folder, made, replaces=None)
    assert "prompt-more" in stored.skill.templates
