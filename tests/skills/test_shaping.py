"""The kind of a task is told by its targets; what is given is kept."""

import pytest

from rag_adapt.core.errors import SkillError
from rag_adapt.core.types import Draft, ScorerName, Task
from rag_adapt.skills.formats import Format
from rag_adapt.skills.shaping import Shape, first_templates, is_number, labels_listed, shape_of


def shape(
    targets: list[str],
    format: Format = "csv",
    task: Task | None = None,
    scorer: ScorerName | None = None,
) -> Shape:
    return shape_of([[target] for target in targets], format, task, scorer)


WORDS = [f"word number {number}" for number in range(30)]
LONG = [f"{word}, and then a good many words more to make an answer of it" for word in WORDS]


@pytest.mark.parametrize(
    ("targets", "format", "task", "scorer"),
    [
        (["yes", "no"] * 10, "csv", "classification", "label"),
        (["0", "1"] * 10, "csv", "classification", "label"),
        (["(A)", "(B)", "(C)"] * 10, "bigbench", "classification", "label"),
        ([str(n) for n in range(10)] * 5, "bigbench", "question", "number"),
        (["1,200", "-3.5", ".5"], "csv", "question", "number"),
        (WORDS, "csv", "question", "exact"),
        (LONG, "csv", "text", "f1"),
        (LONG, "bigbench", "question", "exact"),
        (['{"a": 1}', '{"a": 2}'], "jsonl", "extraction", "json-fields"),
        (["yes", "no"] * 10, "squad", "question", "exact"),
        (["{x", "{y"], "csv", "question", "exact"),
    ],
    ids=[
        "labels",
        "zero-one",
        "choices",
        "numbers",
        "written-numbers",
        "short",
        "long",
        "long-exact",
        "objects",
        "squad",
        "broken-objects",
    ],
)
def test_task_and_scorer_are_told_by_the_targets(
    targets: list[str], format: Format, task: str, scorer: str
) -> None:
    found = shape(targets, format)

    assert (found.task, found.scorer) == (task, scorer)


@pytest.mark.parametrize(
    ("given_task", "given_scorer", "task", "scorer"),
    [
        ("text", None, "text", "f1"),
        ("extraction", None, "extraction", "exact"),
        (None, "number", "question", "number"),
        (None, "exact", "classification", "exact"),
        ("question", "f1", "question", "f1"),
    ],
)
def test_what_is_given_is_kept_and_the_rest_follows(
    given_task: Task | None, given_scorer: ScorerName | None, task: str, scorer: str
) -> None:
    found = shape(["yes", "no"] * 10, task=given_task, scorer=given_scorer)

    assert (found.task, found.scorer) == (task, scorer)


def test_labels_are_declared_for_a_classification_alone() -> None:
    assert shape(["yes", "no"] * 10).labels == ("no", "yes")
    assert shape(WORDS).labels == ()


def test_a_classification_with_one_label_is_refused() -> None:
    with pytest.raises(SkillError, match="every target is 'yes'"):
        shape(["yes"] * 3, task="classification")


def test_the_longest_target_sets_the_tokens_and_lines_the_stop() -> None:
    assert shape(["a" * 100, "b"]).max_tokens == 58
    assert shape(["a" * 10_000, "b"]).max_tokens == 1024
    assert shape(["a", "b"]).stop == ("\n",)
    assert shape(["a\nb", "c"]).stop == ()
    assert shape(LONG).stop == ()


@pytest.mark.parametrize(
    ("text", "number"),
    [("12", True), ("-1,234.5", True), (".5", True), ("", False), ("1,23", False), ("5 kg", False)],
)
def test_a_number_is_told_from_text(text: str, number: bool) -> None:
    assert is_number(text) is number


@pytest.mark.parametrize("task", ["classification", "extraction", "question", "text"])
@pytest.mark.parametrize("scorer", ["exact", "number", "json", "label"])
def test_a_first_template_shows_the_item_and_its_passages(task: Task, scorer: ScorerName) -> None:
    found = shape(["12", "13"] * 10, task=task, scorer=scorer)

    templates = first_templates(found, with_context=True)

    draft = Draft(item_id="i", input="THE INPUT", labels=found.labels)
    for template in templates.values():
        assert "THE INPUT" in template.render(draft)[-1].content
    assert not templates["prompt"].wants_context
    assert templates["context"].wants_context


def test_labels_are_listed_unless_they_are_very_long_or_hold_commas() -> None:
    many = [f"a_label_of_usual_length_{number:03d}" for number in range(77)]
    far_too_many = [f"a_label_of_usual_length_{number:03d}" for number in range(1000)]

    assert labels_listed(many)
    assert not labels_listed(far_too_many)
    assert not labels_listed(["a, b", "c"])
    prompts = [
        first_templates(shape(labels * 5, task="classification"), with_context=False)["prompt"]
        for labels in (many, far_too_many)
    ]
    assert ["{labels}" in prompt.user for prompt in prompts] == [True, False]
