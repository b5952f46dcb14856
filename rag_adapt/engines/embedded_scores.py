"""Given tokens whose log-probabilities were asked for, grouped by the prompt that they continue.

It does not know how anything is computed. Labels of one question continue one prompt: taken
together, the prompt is computed once and not once per label.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np

LOGITS: Final = 512
"""Positions whose logits over the whole vocabulary are held at once, about."""
Head = tuple[str | None, bytes]
"""An adapter and the tokens of a prompt."""


@dataclass(kw_only=True, eq=False)
class Scored:
    """One continuation."""

    tokens: "np.ndarray"
    """Prompt and continuation."""
    count: int
    """Tokens of the continuation."""
    adapter: str | None
    future: "Future[tuple[float, ...]]"

    @cached_property
    def head(self) -> Head:
        """What it continues, and under which adapter."""
        return self.adapter, self.tokens[: -self.count].tobytes()


def families(group: Sequence[Scored]) -> dict[Head, list[Scored]]:
    """Continuations by what they continue, in order of arrival."""
    found: dict[Head, list[Scored]] = {}
    for scored in group:
        found.setdefault(scored.head, []).append(scored)
    return found


def take(queue: deque[Scored], *, rows: int, room: int) -> list[Scored]:
    """Take all that continue the oldest one's prompt, then whole prompts of about its length.

    Args:
        queue: Not empty; what is taken leaves it.
        rows: Continuations at most, unless one prompt alone has more.
        room: Tokens that the keys and values of all prompts may hold, one prompt excepted.
    """
    oldest, *others = families(queue).values()
    others.sort(key=lambda family: abs(len(family[0].tokens) - len(oldest[0].tokens)))
    group, longest, prompts = list(oldest), len(oldest[0].tokens), 1
    for family in others:
        longest, prompts = max(longest, len(family[0].tokens)), prompts + 1
        if len(group) + len(family) > rows or longest * prompts > room:
            break
        group += family
    taken = set(map(id, group))
    left = [scored for scored in queue if id(scored) not in taken]
    queue.clear()
    queue.extend(left)
    return group


def batches(group: Sequence[Scored], *, rows: int, room: int) -> Iterator[Sequence[Scored]]:
    """Parts of a group small enough for one pass.

    Args:
        group: Not empty.
        rows: Continuations at most.
        room: Tokens that the keys and values of a pass may hold; a single row may take more.
    """
    longest = max(len(scored.tokens) for scored in group)
    keep = max(scored.count for scored in group) + 1
    size = max(1, min(rows, LOGITS // keep, room // longest))
    for start in range(0, len(group), size):
        yield group[start : start + size]
