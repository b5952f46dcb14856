"""What a model will compute in on this machine, known without loading it.

It does not know engines. A remembered fingerprint is used only while everything that it follows
from is unchanged: the model's files, the libraries, the processor and the wishes of the user.
"""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from rag_adapt.core.types import Fingerprint, content_hash
from rag_adapt.models.files import ModelFiles
from rag_adapt.models.loading import Device, choose_device, has_bfloat16

CPU: Final = Path("/proc/cpuinfo")
GPU: Final = Path("/proc/driver/nvidia/version")


def fingerprint_of(
    files: ModelFiles, *, device: Device, deterministic: bool, memory: Path
) -> Fingerprint:
    """The fingerprint of the embedded engine with this model.

    Args:
        files: The model.
        device: As the user wishes.
        deterministic: float32, one request at a time.
        memory: A folder for remembered fingerprints; they save importing torch and transformers.

    Raises:
        SettingsError: CUDA was asked for and is not there, or the model has no chat template.
    """
    file = memory / f"{_key(files, device, deterministic)}.json"
    try:
        return Fingerprint(**json.loads(file.read_text()))
    except (OSError, ValueError, TypeError):
        found = _compute(files, device, deterministic)
    _remember(file, found)
    return found


def _compute(files: ModelFiles, device: Device, deterministic: bool) -> Fingerprint:
    import torch
    import transformers

    from rag_adapt.models.chat import ChatFormat

    place = choose_device(device)
    exact = deterministic or not has_bfloat16(place)
    return Fingerprint(
        engine="embedded",
        model=files.name,
        weights=files.weights,
        template_hash=ChatFormat.load(files.path, name=files.name).template_hash,
        dtype="float32" if exact else "bfloat16",
        device=place,
        deterministic=deterministic,
        extra={"torch": torch.__version__, "transformers": transformers.__version__},
    )


def _remember(file: Path, found: Fingerprint) -> None:
    from dataclasses import asdict

    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(".part")
    temporary.write_text(json.dumps(asdict(found)))
    temporary.replace(file)


def _key(files: ModelFiles, device: Device, deterministic: bool) -> str:
    small = [p for p in sorted(files.path.iterdir()) if p.is_file() and p.suffix != ".safetensors"]
    stamps = [(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in small]
    machine: list[Any] = [_flags(), GPU.exists()]
    libraries = [version("torch"), version("transformers")]
    wishes = [files.name, files.weights, str(files.path), device, deterministic]
    return content_hash([wishes, stamps, libraries, machine], digits=32)


def _flags() -> str:
    """The processor's capabilities as the kernel lists them; empty where it does not."""
    try:
        lines = CPU.read_text().splitlines()
    except OSError:
        return ""
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")
