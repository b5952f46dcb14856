"""Beginnings that prompts share: found among recent prompts, computed once, kept for a while.

It does not know how keys and values are computed. A system prompt, a list of labels or a few
worked examples are most of a short question's tokens, and the same for all items of an arm.
"""

from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np

    from rag_adapt.engines.embedded_kv import Prefix

SHORTEST: Final = 16
"""Tokens below which a shared beginning is not worth a computation of its own."""
SHARERS: Final = 2
"""Other recent prompts that must share a beginning before it is computed apart."""
RECENT: Final = 128
"""Prompts remembered per adapter."""


class PrefixStore:
    """Keys and values of shared beginnings, least recently used dropped first.

    Args:
        max_bytes: Of keys and values kept.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[tuple[str | None, bytes], Prefix] = OrderedDict()
        self._recent: dict[str | None, deque[np.ndarray]] = {}

    @property
    def bytes(self) -> int:
        """Bytes of keys and values kept."""
        return sum(prefix.bytes for prefix in self._kept.values())

    def __len__(self) -> int:
        return len(self._kept)

    def note(self, adapter: str | None, tokens: "np.ndarray") -> None:
        """Remember a prompt, so that later ones can be compared with it."""
        self._recent.setdefault(adapter, deque(maxlen=RECENT)).append(tokens)

    def longest(self, adapter: str | None, tokens: "np.ndarray", limit: int) -> "Prefix | None":
        """The longest kept beginning of a prompt, of at most `limit` tokens."""
        found = max(
            (
                (prefix.length, key)
                for key, prefix in self._kept.items()
                if key[0] == adapter
                and prefix.length <= limit
                and key[1] == tokens[: prefix.length].tobytes()
            ),
            default=None,
            key=lambda entry: entry[0],
        )
        if found is None:
            return None
        self._kept.move_to_end(found[1])
        return self._kept[found[1]]

    def worth(self, adapter: str | None, tokens: "np.ndarray", limit: int) -> int:
        """How many first tokens of a prompt to compute apart; 0 where it is not worth it.

        The length that saves most: tokens beyond what is kept already, times the number of recent
        prompts that share them.
        """
        kept = self.longest(adapter, tokens, limit)
        known = 0 if kept is None else kept.length
        lengths = sorted(
            (min(length, limit) for length in self._shared(adapter, tokens)), reverse=True
        )
        useful = [
            ((length - known) * sharers, length)
            for sharers, length in enumerate(lengths, start=1)
            if length - known >= SHORTEST and sharers >= SHARERS
        ]
        return max(useful, default=(0, 0))[1]

    def add(self, adapter: str | None, tokens: "np.ndarray", prefix: "Prefix") -> None:
        """Keep a beginning; drop the ones longest unused beyond the bound."""
        self._kept[(adapter, tokens.tobytes())] = prefix
        while self._kept and self.bytes > self._max_bytes:
            self._kept.popitem(last=False)

    def forget(self, adapter: str) -> None:
        """Drop what was computed with an adapter."""
        self._recent.pop(adapter, None)
        for key in [key for key in self._kept if key[0] == adapter]:
            del self._kept[key]

    def clear(self) -> None:
        """Drop everything."""
        self._kept.clear()
        self._recent.clear()

    def _shared(self, adapter: str | None, tokens: "np.ndarray") -> Iterator[int]:
        for other in self._recent.get(adapter, ()):
            if other is not tokens:
                yield common(tokens, other)


def common(one: "np.ndarray", other: "np.ndarray") -> int:
    """How many first tokens are the same."""
    size = min(len(one), len(other))
    different = one[:size] != other[:size]
    first = int(different.argmax()) if size else 0
    return first if size and different[first] else size
