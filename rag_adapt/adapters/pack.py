"""Lays several training rows into one sequence without padding, shared prompt tokens only once.

It does not know training or chat templates. Each row's tokens see the shared beginning and the
row itself, at the positions they would have alone: the figures are those of separate rows.

    ids        [shared ........][rest of row 1][rest of row 2] ...
    positions   0 .. s-1         s .. n1-1      s .. n2-1
    row         0                1              2
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import torch

LIMIT: Final = 384
"""Tokens of a pack, unless one row alone is longer: attention grows with their square. At 640 the
default model's training peaked a gigabyte higher, and was no faster."""


@dataclass(frozen=True, kw_only=True)
class TokenRow:
    """One example as tokens."""

    prompt: tuple[int, ...]
    answer: tuple[int, ...]
    """Ends with the token that ends a turn; the loss is over these alone."""

    @property
    def tokens(self) -> int:
        return len(self.prompt) + len(self.answer)


@dataclass(frozen=True, kw_only=True)
class Pack:
    """One sequence for one forward pass; lists of equal length but for the last two."""

    ids: list[int]
    positions: list[int]
    rows: list[int]
    """Which row a token belongs to, from 1; 0 is the shared beginning."""
    predict: list[int]
    """Places in the sequence whose logits predict an answer token."""
    answers: list[int]
    """The answer tokens, in the order of `predict` and of the rows."""


def packs(rows: Sequence[TokenRow], *, share: bool, limit: int = LIMIT) -> Iterator[Pack]:
    """Pack rows in their order.

    Args:
        rows: Not empty; prompts not empty.
        share: Whether rows may stand in one sequence; False gives every row its own.
        limit: Tokens that a pack of several rows may have.
    """
    shared = shared_length([row.prompt for row in rows]) if share else 0
    group: list[TokenRow] = []
    size = shared
    for row in rows:
        if group and (not share or size + row.tokens - shared > limit):
            yield _pack(group, shared)
            group, size = [], shared
        group.append(row)
        size += row.tokens - shared
    if group:
        yield _pack(group, shared)


def shared_length(prompts: Sequence[Sequence[int]]) -> int:
    """How many tokens all prompts begin with; the last of a prompt always stays its own."""
    if len(prompts) < 2:
        return 0
    columns = zip(*(prompt[:-1] for prompt in prompts), strict=False)
    return sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, columns))


def _pack(rows: Sequence[TokenRow], shared: int) -> Pack:
    ids = list(rows[0].prompt[:shared])
    positions = list(range(shared))
    numbers = [0] * shared
    predict: list[int] = []
    answers: list[int] = []
    for number, row in enumerate(rows, start=1):
        own = [*row.prompt[shared:], *row.answer[:-1]]
        first = len(ids) + len(row.prompt) - shared - 1
        predict.extend(range(first, first + len(row.answer)))
        answers.extend(row.answer)
        ids.extend(own)
        positions.extend(range(shared, shared + len(own)))
        numbers.extend([number] * len(own))
    return Pack(ids=ids, positions=positions, rows=numbers, predict=predict, answers=answers)


def attention_mask(rows: Sequence[int], dtype: "torch.dtype") -> "torch.Tensor | None":
    """What each token may see: shape (1, 1, tokens, tokens), 0 to see and the least number not to.

    None where all tokens belong to one row: plain causal attention.
    """
    import torch

    if len(set(rows)) == 1:
        return None
    row = torch.tensor(rows)
    same = row[:, None] == row[None, :]
    sees = (same | (row[None, :] == 0)).tril()
    mask = torch.zeros(sees.shape, dtype=dtype)
    mask.masked_fill_(~sees, torch.finfo(dtype).min)
    return mask[None, None]


def answer_logits(model: "torch.nn.Module", pack: Pack, dtype: "torch.dtype") -> "torch.Tensor":
    """Logits for the answer tokens alone: shape (answer tokens, vocabulary), in float32.

    The vocabulary projection is computed for no other token: for small models it is a large
    share of both time and memory.
    """
    import torch

    device = next(model.parameters()).device
    mask = attention_mask(pack.rows, dtype)
    logits: torch.Tensor = model(
        input_ids=torch.tensor([pack.ids], device=device),
        position_ids=torch.tensor([pack.positions], device=device),
        attention_mask=None if mask is None else mask.to(device),
        logits_to_keep=torch.tensor(pack.predict, device=device),
        use_cache=False,
    ).logits
    return logits[0].float()


def answer_losses(model: "torch.nn.Module", pack: Pack, dtype: "torch.dtype") -> "torch.Tensor":
    """Negative log-probability of every answer token, in nats: shape (answer tokens,)."""
    import torch

    logits = answer_logits(model, pack, dtype)
    targets = torch.tensor(pack.answers, device=logits.device)
    return torch.nn.functional.cross_entropy(logits, targets, reduction="none")
