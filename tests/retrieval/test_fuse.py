"""Joining rankings."""

import pytest

from rag_adapt.core.errors import CollectionError
from rag_adapt.retrieval.fuse import FusionWeights, lend, reciprocal_rank_fusion
from rag_adapt.retrieval.protocols import Neighbour


@pytest.mark.parametrize(
    ("rankings", "expected"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([[], []], [], id="empty rankings"),
        pytest.param([[7, 3]], [(7, 1 / 11), (3, 1 / 12)], id="one ranking"),
        pytest.param(
            [[1, 2], [2, 3]],
            [(2, 1 / 12 + 1 / 11), (1, 1 / 11), (3, 1 / 12)],
            id="both beats either",
        ),
        pytest.param([[5], [4]], [(4, 1 / 11), (5, 1 / 11)], id="ties by number"),
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


def test_a_ranking_counts_as_much_as_its_weight() -> None:
    hits = reciprocal_rank_fusion([[1], [2]], weights=[1.0, 3.0])
    assert [(hit.chunk, hit.score) for hit in hits] == [(2, 3 / 11), (1, 1 / 11)]


def test_a_ranking_without_weight_adds_no_chunk() -> None:
    assert [hit.chunk for hit in reciprocal_rank_fusion([[1], [2]], weights=[0.0, 1.0])] == [2]


@pytest.mark.parametrize(
    ("dense", "lexical"), [(0.0, 0.0), (-1.0, 1.0), (float("nan"), 1.0), (1.0, float("inf"))]
)
def test_weights_that_order_nothing_are_refused(dense: float, lexical: float) -> None:
    with pytest.raises(CollectionError, match="rankings cannot be joined"):
        FusionWeights(dense=dense, lexical=lexical)


def test_a_chunk_between_two_good_ones_rises() -> None:
    hits = [Neighbour(chunk=chunk, score=score) for chunk, score in ((9, 1.0), (1, 0.9), (3, 0.9))]
    lent = lend(hits, 0.6, {9: [], 1: [2], 3: [2]})
    assert [(hit.chunk, hit.score) for hit in lent] == [
        (2, pytest.approx(1.08)),
        (9, 1.0),
        (1, 0.9),
        (3, 0.9),
    ]


def test_a_constant_below_zero_is_refused() -> None:
    with pytest.raises(CollectionError, match="-1 cannot be the constant"):
        FusionWeights(rank_constant=-1)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(CollectionError, match="cannot lend"):
        FusionWeights(neighbours=share)
