"""Which scorer a name stands for: the one place to add one.

It does not know skills; labels are handed in.
"""

from collections.abc import Callable, Sequence
from typing import Final

from rag_adapt.core.errors import SkillError
from rag_adapt.core.protocols import Scorer
from rag_adapt.core.types import ScorerName
from rag_adapt.scoring.choice import label_scorer
from rag_adapt.scoring.structured import Json, JsonFields
from rag_adapt.scoring.text import F1, Exact, Number, Regex


def _without_labels(make: Callable[[], Scorer]) -> Callable[[Sequence[str]], Scorer]:
    return lambda _labels: make()


SCORERS: Final[dict[ScorerName, Callable[[Sequence[str]], Scorer]]] = {
    "exact": _without_labels(Exact),
    "f1": _without_labels(F1),
    "number": _without_labels(Number),
    "regex": _without_labels(Regex),
    "json": _without_labels(Json),
    "json-fields": _without_labels(JsonFields),
    "label": label_scorer,
}


def scorer_for(name: ScorerName, labels: Sequence[str] = ()) -> Scorer:
    """The scorer of that name for a skill with these labels.

    Raises:
        SkillError: no such scorer, or `label` without labels.
    """
    if name not in SCORERS:
        raise SkillError(
            f"there is no scorer {name!r}", hint=f"Choose one of: {', '.join(SCORERS)}."
        )
    try:
        return SCORERS[name](labels)
    except ValueError as error:
        raise SkillError(
            f"scorer {name!r}: {error}", hint="Declare the labels in skill.toml."
        ) from error
