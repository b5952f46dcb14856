"""Writing a skill folder: all or nothing, and what is read back is what was meant."""

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_adapt.core.errors import SkillError, StorageError
from rag_adapt.core.template import Template
from rag_adapt.core.types import Item, Span
from rag_adapt.skills.load import load_skill
from rag_adapt.skills.scaffold import new_skill
from rag_adapt.skills.writing import Parts, check_new, toml_text, write_skill
from tests.skills.folders import HEAD

FREE = {**HEAD, "task": "question", "scorer": "exact", "labels": []}
ITEM = Item(id="i", input="Wie?", targets=("s\u00f6", "b"), split="test", cluster="1", tags=("t",))
PROMPT = Template(system='Say "x"\\', user='{input}\n\nThree quotes: """ and "one"')


@settings(deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_any_text_survives_toml(text: str) -> None:
    values = {"text": text, "lines": f"a\n{text}", "list": [text], "flag": True, "n": 3}

    assert tomllib.loads(toml_text(values)) == {
        **values,
        "text": text,
        "lines": f"a\n{text}",
    }


def test_a_written_skill_is_read_back_as_it_was_meant(tmp_path: Path) -> None:
    item = Item(**{**ITEM.__dict__, "gold": (Span(document="sub/a.md", start=1, end=3),)})
    context = Template(system="", user="{context}{input}", name="context")
    parts = Parts(
        head=FREE,
        items=[item],
        templates={"prompt": PROMPT, "context": context},
        documents={"sub/a.md": "\u00e4\u00f6\u00fc\n"},
    )

    skill = write_skill(parts, tmp_path / "skills")

    assert skill.folder == tmp_path / "skills" / "colours"
    assert skill.items == (item,)
    assert skill.templates == {"prompt": PROMPT, "context": context}
    assert (skill.folder / "corpus" / "sub" / "a.md").read_text() == "\u00e4\u00f6\u00fc\n"


def test_what_would_not_load_leaves_no_trace(tmp_path: Path) -> None:
    parts = Parts(head=HEAD, items=[ITEM], templates={"prompt": PROMPT})

    with pytest.raises(SkillError, match="is not one of the declared labels"):
        write_skill(parts, tmp_path / "skills")

    assert list((tmp_path / "skills").iterdir()) == []


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")

    with pytest.raises(StorageError, match=r"cannot make the folder .*\n.*--home"):
        new_skill("fresh", tmp_path / "home" / "skills")


class Slow(list[Item]):
    """Items during whose writing another process takes the name."""

    def __init__(self, place: Path) -> None:
        super().__init__([ITEM])
        self.place = place

    def __iter__(self) -> Iterator[Item]:
        (self.place / "colours").mkdir()
        (self.place / "colours" / "mine").write_text("keep")
        return super().__iter__()


def test_a_name_that_another_process_took_meanwhile_is_left_to_it(tmp_path: Path) -> None:
    parts = Parts(head=FREE, items=Slow(tmp_path), templates={"prompt": PROMPT})

    with pytest.raises(SkillError, match="there is a skill 'colours' already"):
        write_skill(parts, tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["colours"]
    assert (tmp_path / "colours" / "mine").read_text() == "keep"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ab", "'ab' is no name for a skill"),
        ("-abc", "is no name"),
        ("../evil", "is no name"),
        ("Upper", "is no name"),
        ("orders", "belongs to a bundled skill"),
        ("colours", "there is a skill 'colours' already.*\n.*rm -r"),
    ],
)
def test_a_name_that_cannot_be_had_is_refused(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "colours").mkdir()

    with pytest.raises(SkillError, match=message):
        check_new(name, tmp_path)


def test_a_new_skill_is_valid_as_it_is(tmp_path: Path) -> None:
    skill = new_skill("my-skill", tmp_path)

    assert load_skill(tmp_path / "my-skill") == skill
    assert len(skill.training_items) == 4
    assert len(skill.dev_items) == 2
    assert len(skill.test_items) == 4
