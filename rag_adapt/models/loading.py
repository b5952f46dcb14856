"""Loads a language model: the right number format, on the right device, ready to answer.

It does not know where the files came from, nor who asks.
"""

from dataclasses import dataclass
from typing import Any, Literal

from rag_adapt.core.errors import ModelNotFoundError, SettingsError
from rag_adapt.models.chat import ChatFormat
from rag_adapt.models.files import ModelFiles
from rag_adapt.models.native import set_native_defaults
from rag_adapt.models.packages import quiet_transformers

Device = Literal["auto", "cpu", "cuda"]
NumberFormat = Literal["auto", "bfloat16", "float32"]


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A language model in memory."""

    files: ModelFiles
    model: Any
    """A transformers causal language model, in evaluation mode."""
    chat: ChatFormat
    dtype: str
    """`bfloat16` or `float32`."""
    device: str
    """`cpu` or `cuda`."""
    deterministic: bool = False

    @property
    def context(self) -> int:
        """Tokens of prompt and answer that the model can hold."""
        return int(self.model.config.get_text_config().max_position_embeddings)


def load_language_model(
    files: ModelFiles,
    *,
    device: Device = "auto",
    deterministic: bool = False,
    number_format: NumberFormat = "auto",
) -> LoadedModel:
    """Load weights and tokenizer.

    Args:
        files: The model.
        device: `auto` takes CUDA where it is.
        deterministic: Marks the model for an engine that computes every request alone, in float32.
        number_format: `auto` is bfloat16 where processor or GPU computes in it, else float32.

    Raises:
        SettingsError: CUDA was asked for and is not there, or the model has no chat template.
        ModelNotFoundError: the files are damaged, or no causal language model.
    """
    set_native_defaults()
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    place = choose_device(device)
    dtype = _choose_format(number_format, place, deterministic=deterministic)
    chat = ChatFormat.load(files.path, name=files.name)
    try:
        with quiet_transformers():
            model = AutoModelForCausalLM.from_pretrained(
                files.path, dtype=getattr(torch, dtype), attn_implementation="sdpa"
            )
    except (SafetensorError, OSError, ValueError) as exc:
        raise ModelNotFoundError(
            f"cannot load model {files.name!r} from {str(files.path)!r}: {exc}",
            hint="The files are damaged or hold no causal language model: remove the folder and "
            "get them again (`rag-adapt models show` says where from).",
        ) from exc
    model.eval().requires_grad_(False).to(place)
    return LoadedModel(
        files=files,
        model=model,
        chat=chat,
        dtype=dtype,
        device=place,
        deterministic=deterministic,
    )


def _choose_format(wanted: NumberFormat, device: str, *, deterministic: bool) -> str:
    if deterministic:
        return "float32"
    if wanted == "auto":
        return "bfloat16" if has_bfloat16(device) else "float32"
    return wanted


def choose_device(wanted: Device) -> str:
    """`cpu` or `cuda`.

    Raises:
        SettingsError: CUDA was asked for and is not there.
    """
    import torch

    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise SettingsError(
            f"device 'cuda' was asked for, but this torch ({torch.__version__}) sees no GPU",
            hint="Use --device cpu (or auto), or install a CUDA build of torch.",
        )
    return "cuda" if there and wanted != "cpu" else "cpu"


def has_bfloat16(device: str) -> bool:
    """Whether the device computes in bfloat16 natively, so that it is faster than float32."""
    import torch

    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in ("amx_bf16", "avx512_bf16", "bf16"))
