"""Vectorised twins of the tests, for thousands of simulated runs at once.

They do not know the simulations; each is compared with its public function on a sample.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from rag_adapt.stats.paired import FLIPS

Numbers = NDArray[np.float64]
PAIRS: Final = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))
"""Of four arms."""


def mcnemar_ps(differences: Numbers) -> Numbers:
    """Exact McNemar by row; shape of `differences`: (rows, items), values -1, 0 or 1."""
    from scipy.stats import binom

    fixed, broken = (differences > 0).sum(axis=1), (differences < 0).sum(axis=1)
    tail = binom.cdf(np.minimum(fixed, broken), fixed + broken, 0.5)
    return np.minimum(1.0, 2.0 * np.asarray(tail, dtype=np.float64))


def grid_flip_ps(totals: Numbers) -> Numbers:
    """Exact sign flips of whole-number totals by row, from the characteristic function."""
    sizes = np.abs(totals).astype(np.int64)
    largest, reach = int(sizes.max()), int(sizes.sum(axis=1).max())
    points = 2 * reach + 2
    angles = 2.0 * np.pi * np.arange(points) / points
    product = np.ones((len(totals), points))
    for size in range(1, largest + 1):
        powers = np.cos(size * angles) ** np.arange(sizes.shape[1] + 1)[:, None]
        product *= powers[(sizes == size).sum(axis=1)]
    nearer = np.arange(reach + 1)[:, None]
    kernel = np.cumsum(np.where(nearer == 0, 1.0, 2.0) * np.cos(nearer * angles), axis=0)
    seen = np.abs(totals.sum(axis=1)).astype(np.int64)
    inside = (product * kernel[np.maximum(seen - 1, 0)]).sum(axis=1) / points
    return np.where(seen == 0, 1.0, np.clip(1.0 - inside, 0.0, 1.0))


def sampled_flip_ps(differences: Numbers, seed: int = 0) -> Numbers:
    """Random sign flips by row, with the bytes that the public function draws.

    In single precision: the share may differ by a pattern or two of 20,000.
    """
    chance = np.random.default_rng(seed)
    columns = -(-differences.shape[1] // 8)
    drawn = [chance.integers(0, 256, FLIPS, dtype=np.uint8) for _ in range(columns)]
    signs = (2.0 * np.unpackbits(np.stack(drawn, axis=1), axis=1) - 1.0).astype(np.float32).T
    sizes = np.sort(np.where(differences == 0.0, np.inf, np.abs(differences)), axis=1)
    padded = np.zeros((len(differences), 8 * columns), dtype=np.float32)
    padded[:, : differences.shape[1]] = np.where(np.isinf(sizes), 0.0, sizes)
    seen = np.abs(differences.sum(axis=1)).astype(np.float32)
    ps = np.empty(len(differences))
    for start in range(0, len(differences), 250):
        rows = slice(start, start + 250)
        sums = padded[rows] @ signs
        np.abs(sums, out=sums)
        far = np.count_nonzero(sums >= seen[rows, None], axis=1)
        ps[rows] = (1 + far) / (1 + FLIPS)
    return ps


def holm_rows(ps: Numbers) -> Numbers:
    """Holm's adjusted p values of each row."""
    order = np.argsort(ps, axis=1)
    factors = np.arange(ps.shape[1], 0, -1)
    stepped = np.minimum(1.0, np.take_along_axis(ps, order, axis=1) * factors)
    adjusted = np.empty_like(ps)
    np.put_along_axis(adjusted, order, np.maximum.accumulate(stepped, axis=1), axis=1)
    return adjusted
