"""Weights that are a hash: what a server without a model computes with, and how an answer reads.

It does not know servers. The same weights and context give the same figures.
"""

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final

VOCABULARY: Final = tuple(range(100, 108))
BASE_WEIGHTS: Final = "base"
LONGEST: Final = 6
"""Tokens after which an answer ends of itself."""


def distribution(weights: str, context: Sequence[int]) -> dict[int, float]:
    """Log-probability of each token that may follow, the likeliest first."""
    seed = json.dumps([weights, list(context)[-8:]]).encode()
    shares = [1 + byte for byte in hashlib.sha256(seed).digest()[: len(VOCABULARY)]]
    rows = zip(VOCABULARY, shares, strict=True)
    ordered = sorted(rows, key=lambda row: (-row[1], row[0]))
    return {token: math.log(share / sum(shares)) for token, share in ordered}


def continued(weights: str, prompt: Sequence[int], count: int) -> list[int]:
    """The greedy answer."""
    ids = list(prompt)
    for _ in range(count):
        ids.append(next(iter(distribution(weights, ids))))
    return ids[len(prompt) :]


def figures(weights: str, prompt: Sequence[int], wanted: Sequence[int]) -> tuple[float, ...]:
    """The log-probabilities of given tokens, as a plain forward pass would give them."""
    ids = [*prompt, *wanted]
    places = range(len(prompt), len(ids))
    return tuple(distribution(weights, ids[:at]).get(ids[at], -math.inf) for at in places)


def spoken(weights: str, prompt: Sequence[int], count: int = LONGEST) -> str:
    """The text of an answer."""
    return "".join(f"w{token} " for token in continued(weights, prompt, count))


def weights_of(folder: str) -> str:
    """What an adapter's folder computes with: the base's weights where its own are all zero."""
    from safetensors.numpy import load_file

    file = Path(folder) / "adapter_model.safetensors"
    outer = [tensor for name, tensor in load_file(file).items() if "lora_B" in name]
    if not any(tensor.any() for tensor in outer):
        return BASE_WEIGHTS
    return hashlib.sha256(file.read_bytes()).hexdigest()
