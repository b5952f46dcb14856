"""Adapters' folders that a server without a model can read.

It does not know servers: whatever the weights are, they differ with `fill`.
"""

import json
from pathlib import Path

from rag_adapt.core.types import AdapterRef


def adapter(folder: Path, version: str, *, fill: float = 1.0, rank: int = 2) -> AdapterRef:
    """Write one, and say what an engine needs to know of it."""
    import numpy as np
    from safetensors.numpy import save_file

    place = folder / version
    place.mkdir(parents=True, exist_ok=True)
    name = "base_model.model.model.layers.0.self_attn.q_proj"
    tensors = {
        f"{name}.lora_A.weight": np.full((rank, 4), 1.0, dtype=np.float32),
        f"{name}.lora_B.weight": np.full((4, rank), fill, dtype=np.float32),
    }
    save_file(tensors, place / "adapter_model.safetensors")
    (place / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": rank}))
    return AdapterRef(version=version, path=str(place), rank=rank)
