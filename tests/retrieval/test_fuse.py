"""Joining rankings."""

import pytest

from rag_adapt.retrieval.fuse import reciprocal_rank_fusion


@pytest.mark.parametrize(
    ("rankings", "expected"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([[], []], [], id="empty rankings"),
        pytest.param([[7, 3]], [(7, 1 / 61), (3, 1 / 62)], id="one ranking"),
        pytest.param(
            [[1, 2], [2, 3]],
            [(2, 1 / 62 + 1 / 61), (1, 1 / 61), (3, 1 / 62)],
            id="both beats either",
        ),
        pytest.param([[5], [4]], [(4, 1 / 61), (5, 1 / 61)], id="ties by number"),
    ],
)
def test_scores_are_sums_of_reciprocal_ranks(
    rankings: list[list[int]], expected: list[tuple[int, float]]
) -> None:
    hits = reciprocal_rank_fusion(rankings)
    assert [hit.chunk for hit in hits] == [chunk for chunk, _ in expected]
    assert [hit.score for hit in hits] == pytest.approx([score for _, score in expected])


def test_the_constant_can_be_chosen() -> None:
    assert reciprocal_rank_fusion([[1]], constant=1)[0].score == 0.5
