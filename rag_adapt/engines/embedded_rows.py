"""One answer in the making: how its next token is chosen and how its text comes out.

It does not know the model, the batch or the event loop.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rag_adapt.core.errors import RagAdaptError
from rag_adapt.core.types import FinishReason, Sampling

if TYPE_CHECKING:
    import numpy as np
    import torch

REPLACEMENT: Final = "\ufffd"
"""What incomplete UTF-8 decodes to."""
REPEAT_STRIDE: Final = 1_000_003
"""Distance between the random seeds of a call's repeats."""


class TextStream:
    """Turns tokens into text piece by piece.

    No piece ends inside a character, and none shows a part of a stop string.

    Args:
        decode: Text of tokens.
        stop: Strings that end the answer; they are not part of its text.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str], stop: Sequence[str]) -> None:
        self._decode = decode
        self._stop = tuple(text for text in stop if text)
        self._tokens: list[int] = []
        self._from = 0
        self._read = 0
        self._shown = 0
        self.text = ""
        """Everything decoded so far, up to the stop string."""
        self.stopped = False

    def push(self, token: int) -> str:
        """Add a token; return what can be shown now."""
        self._tokens.append(token)
        before = self._decode(self._tokens[self._from : self._read])
        now = self._decode(self._tokens[self._from :])
        if len(now) <= len(before) or now.endswith(REPLACEMENT):
            return ""
        self._from, self._read = self._read, len(self._tokens)
        self._add(now[len(before) :])
        return self._show(self._held())

    def close(self) -> str:
        """The rest of the text, when no token follows."""
        if not self.stopped:
            before = self._decode(self._tokens[self._from : self._read])
            self._add(self._decode(self._tokens[self._from :])[len(before) :])
        return self._show(0)

    def _add(self, piece: str) -> None:
        longest = max((len(text) for text in self._stop), default=0)
        start = max(0, len(self.text) - longest + 1)
        self.text += piece
        found = [at for text in self._stop if (at := self.text.find(text, start)) >= 0]
        if found:
            self.text = self.text[: min(found)]
            self.stopped = True

    def _held(self) -> int:
        """Characters at the end that may be the beginning of a stop string."""
        if self.stopped:
            return 0
        return max(
            (
                size
                for text in self._stop
                for size in range(1, len(text))
                if self.text.endswith(text[:size])
            ),
            default=0,
        )

    def _show(self, held: int) -> str:
        end = max(self._shown, len(self.text) - held)
        piece = self.text[self._shown : end]
        self._shown = end
        return piece


class Row:
    """An answer in the making.

    Args:
        sampling: How its tokens are chosen.
        repeat: Which repetition of the call: another one draws other tokens.
        stop_ids: Tokens that end it; they are counted, and not part of the text.
        decode: Text of tokens.
        device: Where its random numbers are drawn.
    """

    def __init__(
        self,
        sampling: Sampling,
        *,
        repeat: int,
        stop_ids: Sequence[int],
        decode: Callable[[Sequence[int]], str],
        device: str,
    ) -> None:
        self.sampling = sampling
        self.stream = TextStream(decode, sampling.stop)
        self.produced: list[int] = []
        """Tokens chosen so far, the ending one included."""
        self.finish: FinishReason | None = None
        self._stop_ids = frozenset(stop_ids)
        self._generator = (
            None if sampling.temperature <= 0 else _generator(sampling, repeat, device)
        )

    @property
    def greedy(self) -> bool:
        return self._generator is None

    def draw(self, logits: "torch.Tensor") -> int:
        """Sample a token from one position's logits, shape (vocabulary,)."""
        import torch

        assert self._generator is not None
        chances = torch.softmax(logits.float() / self.sampling.temperature, dim=-1)
        if self.sampling.top_p < 1:
            chances = nucleus(chances, self.sampling.top_p)
        return int(torch.multinomial(chances, 1, generator=self._generator))

    def push(self, token: int) -> str:
        """Add the chosen token; return the text to show, and set `finish` at the end."""
        self.produced.append(token)
        if token in self._stop_ids:
            piece = self.stream.close()
            self.finish = "stop"
            return piece
        piece = self.stream.push(token)
        if self.stream.stopped:
            self.finish = "stop"
        elif len(self.produced) >= self.sampling.max_tokens:
            piece += self.stream.close()
            self.finish = "stop" if self.stream.stopped else "length"
        return piece


@dataclass(kw_only=True, eq=False)
class Asked:
    """An answer that was asked for."""

    tokens: "np.ndarray"
    adapter: str | None
    row: Row
    tell: Callable[[str, bool], None]
    """Takes a piece of text and whether it is the last one; must not block."""
    fail: Callable[[RagAdaptError], None]
    cancelled: bool = False
    started: float | None = None
    """When its computation began, on the monotonic clock."""
    first: float | None = None
    """When its first token was there."""
    ended: float = 0.0

    @property
    def room(self) -> int:
        return len(self.tokens) + self.row.sampling.max_tokens


def nucleus(chances: "torch.Tensor", top_p: float) -> "torch.Tensor":
    """Keep the most likely tokens whose chances add up to `top_p` (Holtzman et al. 2020).

    The most likely token always stays.
    """
    import torch

    ordered, places = torch.sort(chances, descending=True)
    beyond = ordered.cumsum(-1) - ordered >= top_p
    beyond[0] = False
    return torch.zeros_like(chances).scatter(-1, places, ordered.masked_fill(beyond, 0.0))


def _generator(sampling: Sampling, repeat: int, device: str) -> "torch.Generator":
    import torch

    generator = torch.Generator(device=device)
    return generator.manual_seed(sampling.seed + REPEAT_STRIDE * repeat)
