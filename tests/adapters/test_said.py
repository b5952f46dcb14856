"""What a training says of a step is read back as it was meant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_adapt.adapters.said import StepFigures, figures_of, note_of

FIGURES = st.none() | st.floats(0, 1e6, allow_nan=False)


@given(FIGURES, FIGURES, st.sampled_from(["", "continued at step 3"]))
def test_figures_come_back_as_far_as_they_are_shown(
    loss: float | None, bits: float | None, first: str
) -> None:
    found = figures_of(note_of(StepFigures(loss=loss, bits=bits), first))
    assert found.loss == (None if loss is None else pytest.approx(loss, abs=6e-4))
    assert found.bits == (None if bits is None else pytest.approx(bits, abs=6e-3))


@pytest.mark.parametrize("note", ["", "loss", "loss 1.2.3", "a lossy 1.0", "held-out 2 of 3"])
def test_other_notes_hold_no_figures(note: str) -> None:
    assert figures_of(note) == StepFigures(loss=None, bits=None)
