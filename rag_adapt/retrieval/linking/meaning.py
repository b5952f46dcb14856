"""Links between units whose vectors are near.

It does not know the embedder that made them.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np

from rag_adapt.retrieval.exact import top_rows
from rag_adapt.retrieval.linking.units import MOST_TARGETS, Link, Units, beside

NEAR: Final = 0.4
"""Cosine of two linked units, at least."""
ROWS: Final = 512
"""Units compared with all others at once: what bounds memory."""


def meaning_links(units: Units) -> Iterator[Link]:
    """From each unit to the nearest that do not stand beside it."""
    for first in range(0, len(units.units), ROWS):
        cosines = units.vectors[first : first + ROWS] @ units.vectors.T
        for row, near in enumerate(cosines, start=first):
            unit = units.units[row]
            # itself and the two beside it may be among the nearest
            best = [int(at) for at in top_rows(near, MOST_TARGETS + 3) if near[at] >= NEAR]
            others = [at for at in best if at != row and not beside(unit, units.units[at])]
            for at in others[:MOST_TARGETS]:
                target = units.units[at].chunk
                yield Link(
                    source=unit.chunk,
                    target=target,
                    kind="meaning",
                    relation=units.relation(unit.chunk, target),
                    weight=float(np.clip(near[at], NEAR, 1.0)),
                )
