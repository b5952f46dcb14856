"""Small plans, weights and cards that the adapter tests share."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rag_adapt.adapters.card import Card, LossPoint, TrainingSettings
from rag_adapt.adapters.check import CONFIG_FILE, WEIGHTS_FILE
from rag_adapt.adapters.examples import training_rows
from rag_adapt.adapters.plan import Base, TrainPlan
from rag_adapt.adapters.probe import PROBE_FILE, Probe, ProbePrompt
from rag_adapt.core.template import Template
from rag_adapt.core.types import Item, Split

TEMPLATE = Template(system="Say the code.", user="Word: {input}")
MODULE = "model.layers.0.self_attn.q_proj"


def items(count: int, split: Split = "train") -> list[Item]:
    """Words with the same code each."""
    return [
        Item(id=f"{split}-{n}", input=f"word {n}", targets=("XQ7",), split=split, cluster=f"c{n}")
        for n in range(count)
    ]


def plan(count: int = 6, **more: Any) -> TrainPlan:
    """A training of a few steps that changes a tiny model visibly."""
    fields: dict[str, Any] = {
        "name": "codes",
        "skill": "codes",
        "skill_hash": "5" * 12,
        "template_hash": TEMPLATE.hash,
        "rows": training_rows(items(count), TEMPLATE),
        "dev": training_rows(items(3, "dev"), TEMPLATE),
        "learning_rate": 5e-3,
    }
    return TrainPlan(**{**fields, **more})


def base(folder: Path, **more: Any) -> Base:
    """The tiny model in float32."""
    fields: dict[str, Any] = {
        "name": "tiny",
        "path": folder,
        "weights_hash": "b" * 64,
        "dtype": "float32",
    }
    return Base(**{**fields, **more})


def card(name: str = "codes", **more: Any) -> Card:
    """A card without a version."""
    fields: dict[str, Any] = {
        "name": name,
        "skill": "codes",
        "skill_hash": "5" * 12,
        "items_hash": "1" * 12,
        "base_model": "tiny",
        "weights_hash": "b" * 64,
        "chat_template_hash": "c" * 12,
        "template_hash": "7" * 12,
        "with_context": False,
        "settings": TrainingSettings(
            rank=2,
            alpha=4,
            learning_rate=5e-4,
            epochs=1,
            batch_size=4,
            seed=0,
            dtype="float32",
            device="cpu",
            shared_prefix=True,
        ),
        "examples": 3,
        "tokens": 30,
        "answer_tokens": 9,
        "seconds": 1.5,
        "peak_memory_bytes": 1000,
        "size_bytes": 100,
        "loss_curve": (LossPoint(step=1, loss=2.0),),
        "dev_examples": 2,
        "dev_bits_before": 9.0,
        "dev_bits_after": 3.0,
        "libraries": {"peft": "0"},
        "created": "2026-01-01T00:00:00+00:00",
    }
    return Card(**{**fields, **more})


def probe(**more: Any) -> Probe:
    """One prompt whose continuation the adapter makes likelier by one nat per token."""
    prompt = ProbePrompt(
        item="dev-0",
        prompt_ids=(1, 2, 3),
        continuation_ids=(4, 5),
        base=(-2.0, -2.0),
        adapter=(-1.0, -1.0),
    )
    fields: dict[str, Any] = {
        "weights_hash": "b" * 64,
        "chat_template_hash": "c" * 12,
        "dtype": "float32",
        "noise": 0.001,
        "prompts": (prompt,),
    }
    return Probe(**{**fields, **more})


def config(**more: Any) -> dict[str, Any]:
    """A LoRA configuration that every server takes."""
    fields: dict[str, Any] = {
        "peft_type": "LORA",
        "r": 2,
        "lora_alpha": 4,
        "bias": "none",
        "target_modules": ["q_proj"],
        "use_dora": False,
        "modules_to_save": None,
    }
    return {**fields, **more}


def write_adapter(
    folder: Path,
    *,
    fill: float = 1.0,
    shapes: Mapping[str, tuple[int, int]] | None = None,
    **settings: Any,
) -> Path:
    """Weights, configuration and probe of a one-module adapter of rank 2."""
    import torch
    from safetensors.torch import save_file

    prefix = f"base_model.model.{MODULE}"
    wanted = shapes or {f"{prefix}.lora_A.weight": (2, 4), f"{prefix}.lora_B.weight": (4, 2)}
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: torch.full(shape, fill) for name, shape in wanted.items()}
    save_file(tensors, folder / WEIGHTS_FILE)
    (folder / CONFIG_FILE).write_text(json.dumps(config(**settings)))
    (folder / PROBE_FILE).write_text(probe().model_dump_json())
    return folder
