"""An adapter that changes nothing, to ask a base model through.

It does not know when that is needed: some vLLM releases answer a request for the base model, when
it is computed beside requests with adapters, with an adapter's weights. A request for this adapter
is no request for the base, and its zeros leave the base as it is, bit by bit.
"""

import json
from pathlib import Path
from typing import Final

from rag_adapt.core.types import AdapterRef, content_hash

NAME: Final = "base-unchanged"
MODULE: Final = "base_model.model.model.layers.0.self_attn.q_proj"


def write_null(folder: Path, model: Path) -> AdapterRef:
    """Write the adapter for one model, unless it is there.

    Args:
        folder: Where adapters of this kind are kept; the server must be able to read it.
        model: The base model's folder.

    Returns:
        The adapter; its version is the hash of its shape.
    """
    import numpy as np
    from safetensors.numpy import save_file

    inner, outer = _shape(json.loads((model / "config.json").read_text(encoding="utf-8")))
    version = f"{NAME}@{content_hash([MODULE, inner, outer])}"
    place = folder / version
    ref = AdapterRef(version=version, path=str(place.resolve()), rank=1)
    if (place / "adapter_model.safetensors").is_file():
        return ref
    place.mkdir(parents=True, exist_ok=True)
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": 1,
        "lora_alpha": 1,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": ["q_proj"],
    }
    (place / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    weights = {
        f"{MODULE}.lora_A.weight": np.zeros((1, inner), dtype=np.float32),
        f"{MODULE}.lora_B.weight": np.zeros((outer, 1), dtype=np.float32),
    }
    unfinished = place / "adapter_model.new"
    save_file(weights, str(unfinished))
    unfinished.replace(place / "adapter_model.safetensors")
    return ref


def _shape(config: dict[str, int]) -> tuple[int, int]:
    """What the first query projection takes and gives."""
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    return hidden, heads * (config.get("head_dim") or hidden // heads)
