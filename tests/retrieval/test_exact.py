"""Exact search."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_adapt.retrieval.exact import ExactIndex, top_rows


@given(scores=st.lists(st.integers(-3, 3), min_size=1, max_size=50), k=st.integers(1, 60))
def test_the_best_rows_come_first_and_ties_by_position(scores: list[int], k: int) -> None:
    expected = sorted(range(len(scores)), key=lambda row: (-scores[row], row))[:k]
    assert list(top_rows(np.array(scores, dtype=np.float32), k)) == expected


def test_neighbours_carry_chunk_numbers_and_cosines() -> None:
    matrix = np.array([[1, 0], [0, 1], [0.6, 0.8]], dtype=np.float32)
    index = ExactIndex(chunks=np.array([3, 5, 9]), matrix=matrix)
    hits = index.nearest(np.array([0, 1], dtype=np.float32), 2)
    assert [hit.chunk for hit in hits] == [5, 9]
    assert [hit.score for hit in hits] == pytest.approx([1.0, 0.8])
    index.close()
