"""Tells what kind of task a set of targets is, and drafts templates and limits for it.

It does not know files; what it drafts is meant to be edited by a person.
"""

import json
import math
import re
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from rag_adapt.core.errors import SkillError
from rag_adapt.core.template import Template
from rag_adapt.core.types import ScorerName, Task
from rag_adapt.skills.formats import Format

MOST_LABELS: Final = 200
"""More distinct targets than this are not taken for labels unasked."""
ROWS_PER_LABEL: Final = 5
"""Fewer rows per distinct target than this are not taken for a classification unasked."""
SHORT: Final = 60
"""Characters of a target (the median) up to which an answer counts as short."""
LISTED_LABELS: Final = 6000
"""Characters of all labels together up to which the template lists them (about 2,000 tokens)."""
_NUMBER: Final = re.compile(r"[-+]?(\d{1,3}(,\d{3})+|\d+)?(\.\d+)?")

_ASK: Final[dict[Task, str]] = {
    "classification": "Read the text and give its label.",
    "extraction": "Bring the text into the wanted form. Write the result and nothing else.",
    "question": "Answer the question as briefly as possible. Write the answer and nothing else.",
    "text": "Read the text and write the answer.",
}
_WORDS: Final[dict[Task, tuple[str, str]]] = {
    "classification": ("Text", "Label"),
    "extraction": ("Text", "Result"),
    "question": ("Question", "Answer"),
    "text": ("Text", "Answer"),
}
_SCORER_OF: Final[dict[Task, ScorerName]] = {
    "classification": "label",
    "extraction": "exact",
    "question": "exact",
    "text": "f1",
}
_TASK_OF: Final[dict[ScorerName, Task]] = {
    "label": "classification",
    "number": "question",
    "json": "extraction",
    "json-fields": "extraction",
}
_BESIDE: Final[dict[ScorerName, tuple[ScorerName, ...]]] = {
    "exact": ("f1",),
    "f1": ("exact",),
    "json-fields": ("json",),
    "json": ("json-fields",),
}


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What kind of task it is."""

    task: Task
    scorer: ScorerName
    scorers: tuple[ScorerName, ...]
    labels: tuple[str, ...]
    max_tokens: int
    stop: tuple[str, ...]


def shape_of(
    targets: Sequence[Sequence[str]], format: Format, task: Task | None, scorer: ScorerName | None
) -> Shape:
    """The task and scorer, as far as they are not given, by what the targets look like.

    Args:
        targets: The accepted answers of each item.
        format: Where they come from: SQuAD and BIG-Bench have their customary scorers.
        task: As the user said, or None.
        scorer: As the user said, or None.

    Raises:
        SkillError: a classification was asked for, but there is only one target.
    """
    firsts = [accepted[0] for accepted in targets]
    found_task, found_scorer = _detect(firsts, format)
    if task is None:
        task = _TASK_OF.get(scorer, found_task) if scorer is not None else found_task
    if scorer is None:
        scorer = found_scorer if task == found_task else _SCORER_OF[task]
    labels: tuple[str, ...] = ()
    if task == "classification":
        labels = tuple(sorted({target for accepted in targets for target in accepted}))
        if len(labels) < 2:
            raise SkillError(
                f"a classification needs two labels, but every target is {labels[0]!r}",
                hint="Name another target column, or another task with --task.",
            )
    longest = max(len(target) for accepted in targets for target in accepted)
    one_line = not any("\n" in target for accepted in targets for target in accepted)
    return Shape(
        task=task,
        scorer=scorer,
        scorers=_BESIDE.get(scorer, ()),
        labels=labels,
        max_tokens=min(1024, 8 + math.ceil(longest / 2)),
        stop=("\n",) if one_line and task != "text" else (),
    )


def labels_listed(labels: Sequence[str]) -> bool:
    """Whether the template shows the labels: not if they are very long, or hold a comma."""
    return len(", ".join(labels)) <= LISTED_LABELS and not any("," in label for label in labels)


def first_templates(shape: Shape, *, with_context: bool) -> dict[str, Template]:
    """A first `prompt` template by the task's kind and, if wanted, one with passages."""
    ask = _ASK[shape.task]
    if shape.labels and labels_listed(shape.labels):
        ask += " Answer with exactly one of these and nothing else: {labels}."
    elif shape.labels:
        ask += " Write the label and nothing else."
    if shape.scorer == "number":
        ask = "Solve the problem. Answer with the number and nothing else."
    elif shape.scorer in ("json", "json-fields"):
        ask = "Bring the text into the wanted form. Answer with one JSON value and nothing else."
    given, wanted = _WORDS[shape.task]
    item = f"{given}: {{input}}\n{wanted}:"
    templates = {"prompt": Template(system="", user=f"{ask}\n\n{item}")}
    if with_context:
        user = f"{ask} These passages may help.\n\n{{context}}\n\n{item}"
        templates["context"] = Template(system="", user=user, name="context")
    return templates


def is_number(text: str) -> bool:
    """Whether the text is one plain number."""
    stripped = text.strip()
    return any(map(str.isdigit, stripped)) and _NUMBER.fullmatch(stripped) is not None


def _detect(targets: Sequence[str], format: Format) -> tuple[Task, ScorerName]:
    distinct = Counter(targets)
    few = 2 <= len(distinct) <= min(MOST_LABELS, len(targets) / ROWS_PER_LABEL)
    short = statistics.median(map(len, targets)) <= SHORT
    if format == "squad":
        return "question", "exact"
    if all(_is_object(target) for target in targets):
        return "extraction", "json-fields"
    if all(map(is_number, targets)) and len(distinct) > 2:
        return "question", "number"
    if few and max(map(len, distinct)) <= 2 * SHORT:
        return "classification", "label"
    if short or format == "bigbench":
        return "question", "exact"
    return "text", "f1"


def _is_object(text: str) -> bool:
    if not text.lstrip().startswith("{"):
        return False
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict)
