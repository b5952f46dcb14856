"""Loads a base model in four bits for training, and in full again for what is served.

It does not know training. Adapters trained this way are proven on the weights that serve them.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from rag_adapt.adapters.memory import available_memory
from rag_adapt.core.errors import AdapterError, MissingPackageError
from rag_adapt.models.chat import ChatFormat
from rag_adapt.models.files import ModelFiles, weight_files
from rag_adapt.models.loading import Device, LoadedModel, choose_device, load_language_model
from rag_adapt.models.memory import hand_back

PACKAGE: Final = "bitsandbytes"
ROOM: Final = 1.2
"""Free GPU memory in sizes of the weight files that loading in full and a short answer need."""


def require_four_bit(device: str) -> None:
    """Stop before anything is loaded if four bits cannot be trained on here.

    Raises:
        AdapterError: the device is no GPU: on processors bitsandbytes packs weights anew when they
            are evaluated, and no gradient passes through them from then on.
        MissingPackageError: bitsandbytes is not installed; with the command that installs it.
    """
    if device != "cuda":
        raise AdapterError(
            f"a base model in four bits trains on a GPU alone, not on device {device!r}",
            hint="Use --device cuda on a machine that has one, or --gradient-checkpointing and a "
            "smaller model here.",
        )
    if find_spec(PACKAGE) is None:
        raise MissingPackageError(
            f"a base model in four bits needs the package {PACKAGE!r}",
            hint="pip install 'bitsandbytes>=0.49', or train without --four-bit.",
        )


def load_four_bit(files: ModelFiles, *, dtype: str) -> LoadedModel:
    """Load weights as NF4 with double quantisation (Dettmers et al. 2023, QLoRA).

    Args:
        files: The model.
        dtype: What is computed in, and what the weights outside linear layers are held in.

    Raises:
        AdapterError: there is no GPU.
        MissingPackageError: bitsandbytes is not installed.
    """
    require_four_bit(choose_device("auto"))
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    number_format = getattr(torch, dtype)
    model = AutoModelForCausalLM.from_pretrained(
        files.path,
        dtype=number_format,
        attn_implementation="sdpa",
        device_map={"": "cuda"},
        quantization_config=BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=number_format,
        ),
    )
    return LoadedModel(
        files=files,
        model=model.eval().requires_grad_(False),
        chat=ChatFormat.load(files.path, name=files.name),
        dtype=dtype,
        device="cuda",
    )


def load_in_full(files: ModelFiles, *, device: str, deterministic: bool) -> LoadedModel:
    """The weights that serve: on the GPU where they fit, else in main memory."""
    hand_back()
    wanted: Device = "cpu"
    if device == "cuda":
        size = sum(file.stat().st_size for file in weight_files(files.path))
        wanted = "cuda" if (available_memory("cuda") or 0) > ROOM * size else "cpu"
    return load_language_model(files, device=wanted, deterministic=deterministic)


def with_adapter(loaded: LoadedModel, folder: Path) -> Any:
    """A `peft.PeftModel` of these weights with the adapter that was saved in a folder."""
    from peft import PeftModel

    return PeftModel.from_pretrained(loaded.model, folder).eval()
