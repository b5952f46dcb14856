"""Prompts in parts and token by token give what one plain forward pass gives."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rag_adapt.engines.embedded_batch import Prompt, Runner
from tests.engines.embedded_parts import load

SIZES = (30, 7, 19)
KEEP = 3


def prompts() -> list[Prompt]:
    chance = np.random.default_rng(0)
    return [Prompt(tokens=chance.integers(3, 250, size), adapter="__base__") for size in SIZES]


@pytest.fixture
def models(tiny_model: Path) -> tuple[Any, Any]:
    """One for the runner, one that is left as it is."""
    return load(tiny_model).model, load(tiny_model).model


def expected(model: Any, tokens: np.ndarray) -> torch.Tensor:
    logits: torch.Tensor = model(torch.from_numpy(tokens).unsqueeze(0)).logits[0]
    return logits


@pytest.mark.parametrize("wide", [6, 30, 8192], ids=["many parts", "few parts", "one part"])
@torch.inference_mode()
def test_prompts_of_any_length_together_equal_each_alone(
    models: tuple[Any, Any], wide: int
) -> None:
    ours, plain = models
    runner = Runner(ours, device="cpu", plain=False, wide=wide)
    _, logits = runner.fill(prompts(), lambda adapters, **inputs: ours(**inputs), KEEP)
    for prompt, found in zip(prompts(), logits, strict=True):
        assert torch.allclose(found, expected(plain, prompt.tokens)[-KEEP:], atol=1e-3)


@torch.inference_mode()
def test_steps_go_on_where_prompts_end_and_after_rows_have_left(models: tuple[Any, Any]) -> None:
    ours, plain = models
    runner = Runner(ours, device="cpu", plain=False)
    rows = [prompt.tokens for prompt in prompts()]

    def forward(adapters: list[str], **inputs: Any) -> Any:
        return ours(**inputs)

    filled, _ = runner.fill(prompts()[:2], forward)
    joined, _ = runner.fill(prompts()[2:], forward)
    filled.join(joined, rows=4)
    filled.drop(0)
    rows = [rows[2], rows[1]]
    for token in (40, 41):
        logits = runner.step(filled, [token, token + 5], forward)
        rows = [np.append(rows[0], token), np.append(rows[1], token + 5)]
        for row, found in zip(rows, logits, strict=True):
            assert torch.allclose(found, expected(plain, row)[-1], atol=1e-3)


def test_a_tokens_keys_and_values_are_measured(tiny_model: Path) -> None:
    runner = Runner(load(tiny_model).model, device="cpu", plain=True)
    assert runner.token_bytes == 2 * 2 * 2 * 16 * 4
