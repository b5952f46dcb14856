"""The registry: every scorer name has a scorer, and every scorer survives any text."""

from typing import cast, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_adapt.core.errors import SkillError
from rag_adapt.core.types import Item, ScorerName
from rag_adapt.scoring.registry import SCORERS, scorer_for

LABELS = ("yes", "no")


def test_every_name_of_a_scorer_is_registered() -> None:
    assert set(SCORERS) == set(get_args(ScorerName))


@pytest.mark.parametrize("name", get_args(ScorerName))
@settings(deadline=None)
@given(output=st.text(max_size=50), target=st.text(min_size=1, max_size=20))
def test_no_scorer_fails_or_leaves_zero_to_one(name: ScorerName, output: str, target: str) -> None:
    item = Item(id="i", input="?", targets=(target,), split="test", cluster="i")

    score = scorer_for(name, LABELS).score(output, item)

    assert score.value is None or 0.0 <= score.value <= 1.0
    assert score.explanation


def test_an_unknown_scorer_is_refused_with_the_known_ones() -> None:
    with pytest.raises(SkillError, match=r"no scorer 'vibes'\nChoose one of: exact, f1"):
        scorer_for(cast("ScorerName", "vibes"))


def test_the_label_scorer_without_labels_is_refused() -> None:
    with pytest.raises(SkillError, match="needs at least two labels"):
        scorer_for("label", ())
