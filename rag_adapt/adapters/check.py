"""Says whether a folder holds an adapter that is safe, readable and servable, and hashes it.

It does not know the store or training, and loads no weights: it reads the file's header.
"""

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rag_adapt.core.errors import AdapterError
from rag_adapt.core.types import content_hash

WEIGHTS_FILE: Final = "adapter_model.safetensors"
CONFIG_FILE: Final = "adapter_config.json"
RANKS: Final = (1, 2, 4, 8, 16, 32, 64)
PICKLES: Final = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt"})
RETRAIN: Final = (
    "Train it again with `rag-adapt adapters train SKILL --name NAME`, or remove it with "
    "`rag-adapt adapters remove VERSION`."
)
_HASHED: Final = (
    "alpha_pattern",
    "bias",
    "fan_in_fan_out",
    "lora_alpha",
    "peft_type",
    "r",
    "rank_pattern",
    "target_modules",
    "use_dora",
    "use_rslora",
)
"""Keys of the configuration that change what the weights compute."""
_UNSERVABLE: Final = (
    "alpha_pattern",
    "lora_bias",
    "modules_to_save",
    "rank_pattern",
    "target_parameters",
    "trainable_token_indices",
    "use_dora",
)
"""Keys that a server refuses, or ignores, when they are set."""
_STARTS: Final = (True, False, "gaussian", "orthogonal")
"""Initialisations that leave the base weights as they are."""
TENSOR: Final = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<side>[AB])\.weight")
"""Name of a LoRA weight."""


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """One entry of a safetensors header."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    """First byte of the data, counted from the end of the header."""
    end: int


def refuse_pickles(folder: Path) -> None:
    """Stop if a file in the folder could run code when it is loaded.

    Raises:
        AdapterError: naming the file.
    """
    for file in sorted(folder.rglob("*")):
        if file.suffix in PICKLES:
            raise AdapterError(
                f"adapter folder {folder.name!r} holds a pickle: {file.name!r}",
                hint="Pickles can run code when they are loaded. Convert the weights to "
                f"{WEIGHTS_FILE} (peft's `save_pretrained` writes it) and delete the pickle.",
            )


def read_config(folder: Path) -> Mapping[str, Any]:
    """The adapter's PEFT configuration.

    Raises:
        AdapterError: absent or not a JSON object.
    """
    file = folder / CONFIG_FILE
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError) as exc:
        raise AdapterError(
            f"adapter {folder.name!r} has no readable {CONFIG_FILE}: {exc}", hint=RETRAIN
        ) from exc
    if not isinstance(config, dict):
        raise AdapterError(
            f"{CONFIG_FILE} of adapter {folder.name!r} is not a JSON object", hint=RETRAIN
        )
    return config


def read_header(file: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, by name.

    The format is eight bytes of length (little-endian), a JSON header, then the data.

    Raises:
        AdapterError: absent, truncated, or with offsets that do not match the file.
    """
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if length > size - 8:
                raise ValueError(f"a header of {length} bytes in a file of {size}")
            header = json.loads(stream.read(length))
        header.pop("__metadata__", None)
        tensors = {
            name: Tensor(
                dtype=entry["dtype"],
                shape=tuple(entry["shape"]),
                start=entry["data_offsets"][0],
                end=entry["data_offsets"][1],
            )
            for name, entry in header.items()
        }
        if max((tensor.end for tensor in tensors.values()), default=0) != size - 8 - length:
            raise ValueError("the data does not end where the header says")
    except FileNotFoundError as exc:
        raise AdapterError(f"adapter has no {file.name} in {file.parent}", hint=RETRAIN) from exc
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as exc:
        raise AdapterError(
            f"{file.name} of {file.parent.name!r} is corrupt: {exc}", hint=RETRAIN
        ) from exc
    return tensors


def weights_hash(folder: Path) -> str:
    """Twelve hex digits over the weights' bytes and the settings that give them their meaning.

    Raises:
        AdapterError: a file is missing or unreadable.
    """
    config = read_config(folder)
    try:
        with (folder / WEIGHTS_FILE).open("rb") as stream:
            weights = hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError as exc:
        raise AdapterError(f"adapter {folder.name!r} has no {WEIGHTS_FILE}", hint=RETRAIN) from exc
    meaning = {key: config.get(key) for key in _HASHED}
    if isinstance(meaning["target_modules"], list):
        meaning["target_modules"] = sorted(meaning["target_modules"])
    return content_hash({"weights": weights, "config": meaning})


def validate(folder: Path, *, base_modules: Collection[str] | None = None) -> None:
    """Refuse at publication what a server would refuse, or silently ignore, at load.

    Args:
        folder: With `adapter_config.json` and `adapter_model.safetensors`.
        base_modules: Names of the base model's linear modules; None leaves that check out.

    Raises:
        AdapterError: saying what is wrong.
    """
    refuse_pickles(folder)
    config = read_config(folder)
    if problem := _config_problem(config):
        raise AdapterError(
            f"adapter {folder.name!r} cannot be served: {problem}",
            hint="Train a plain LoRA: no DoRA, no bias, no extra modules, rank one of "
            f"{', '.join(map(str, RANKS))}.",
        )
    tensors = read_header(folder / WEIGHTS_FILE)
    if problem := _tensor_problem(tensors, int(config["r"]), base_modules):
        raise AdapterError(
            f"adapter {folder.name!r} would load and do nothing or fail: {problem}", hint=RETRAIN
        )


def _config_problem(config: Mapping[str, Any]) -> str | None:
    if config.get("peft_type") != "LORA":
        return f"its type is {config.get('peft_type')!r}, not 'LORA'"
    if config.get("r") not in RANKS:
        return f"rank {config.get('r')!r} is not one of {', '.join(map(str, RANKS))}"
    if config.get("bias", "none") != "none":
        return f"it trains biases ({config['bias']!r})"
    if config.get("init_lora_weights", True) not in _STARTS:
        return f"its start {config['init_lora_weights']!r} changes the base weights"
    used = [key for key in _UNSERVABLE if config.get(key)]
    return f"it uses {', '.join(used)}" if used else None


def _tensor_problem(
    tensors: Mapping[str, Tensor], rank: int, base_modules: Collection[str] | None
) -> str | None:
    if not tensors:
        return "it holds no tensors"
    sides: dict[str, set[str]] = {}
    for name, tensor in tensors.items():
        match = TENSOR.fullmatch(name)
        if match is None:
            return f"tensor {name!r} is not named as a LoRA weight"
        side, axis = match["side"], 0 if match["side"] == "A" else 1
        if len(tensor.shape) != 2 or tensor.shape[axis] != rank:
            return f"tensor {name!r} has shape {tensor.shape}, which is not rank {rank}"
        sides.setdefault(match["module"], set()).add(side)
    if lonely := [module for module, found in sides.items() if len(found) == 1]:
        return f"module {lonely[0]!r} has only one of its two matrices"
    if base_modules is not None and (foreign := sorted(set(sides) - set(base_modules))):
        return f"the base model has no module {foreign[0]!r}"
    return None
