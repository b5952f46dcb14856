"""LoRA adapters inside a running model: loaded beside one another, chosen row by row.

It does not know where adapters are kept, nor whether their answers are any good. Weights of a
loaded adapter are never replaced in place: another version is another name.
"""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rag_adapt.core.errors import AdapterError
from rag_adapt.core.types import AdapterRef
from rag_adapt.engines.embedded_lora import Mix, RowLora, plain_linear
from rag_adapt.models.packed_llama import PackedLlama

if TYPE_CHECKING:
    from rag_adapt.engines.embedded import EmbeddedEngine

BASE: Final = "__base__"
"""PEFT's word for a row without adapter."""
INSIDE: Final = "base_model.model."
"""What PEFT puts before the names of a model's modules."""


def inner_name(version: str | None) -> str:
    """The name inside PEFT: no dots, and none is a part of another."""
    if version is None:
        return BASE
    return "v" + hashlib.sha256(version.encode()).hexdigest()[:16]


class AdapterBank:
    """A model with its adapters; used from the engine's thread alone.

    Args:
        model: A transformers causal language model. Where it can be packed its own weights are
            given up.
        device: Where it is.
        plain: Compute adapters as PEFT does, rather than side by side.
    """

    def __init__(self, model: Any, *, device: str, plain: bool) -> None:
        self._base = model
        self._device = device
        self._plain = plain
        self._mix = Mix(BASE)
        self._packed = None
        if not plain and PackedLlama.fits(model):
            self._packed = PackedLlama(model, instead=True)
        self._peft: Any = None

    def forward(self, *, adapters: list[str], **inputs: Any) -> Any:
        """Call the model, each row with its own adapter."""
        if self._plain and self._peft is not None:
            return self._peft(**inputs, adapter_names=adapters)
        self._mix.use(adapters)
        return (self._packed or self._base)(**inputs)

    def load(self, ref: AdapterRef) -> None:
        """Add an adapter.

        Raises:
            AdapterError: it cannot be read, or does not fit the model.
        """
        folder, name = Path(ref.path), inner_name(ref.version)
        if not (folder / "adapter_model.safetensors").is_file():
            raise AdapterError(
                f"adapter {ref.version!r} has no adapter_model.safetensors in {ref.path!r}",
                hint="Train it again, or convert it: weights in other formats are never loaded.",
            )
        from safetensors import SafetensorError

        try:
            result = self._add(folder, name)
        except (SafetensorError, RuntimeError, ValueError, TypeError, KeyError, OSError) as exc:
            self._discard(name)
            raise AdapterError(
                f"adapter {ref.version!r} cannot be loaded: {_first_line(exc)}",
                hint="It is damaged or was trained for another base model; see "
                f"`rag-adapt adapters show {ref.version}`.",
            ) from exc
        if wrong := [*result.missing_keys, *result.unexpected_keys]:
            self._discard(name)
            raise AdapterError(
                f"adapter {ref.version!r} does not fit the model: {len(wrong)} tensors have no "
                f"counterpart, the first is {wrong[0]!r}",
                hint="Use the base model that it was trained for.",
            )
        self._peft.eval()
        if not self._plain:
            self._side_by_side(ref)

    def unload(self, version: str) -> None:
        """Remove an adapter."""
        self._discard(inner_name(version))

    def _add(self, folder: Path, name: str) -> Any:
        from peft import PeftConfig, PeftModelForCausalLM

        if self._peft is None:
            config = PeftConfig.from_pretrained(str(folder))
            config.inference_mode = True
            self._peft = PeftModelForCausalLM(
                self._base, config, adapter_name=name, autocast_adapter_dtype=False
            )
        return self._peft.load_adapter(
            str(folder),
            adapter_name=name,
            torch_device=self._device,
            autocast_adapter_dtype=False,
        )

    def _side_by_side(self, ref: AdapterRef) -> None:
        from peft.tuners.lora import LoraLayer

        layers = {
            name.removeprefix(INSIDE): module
            for name, module in self._peft.named_modules()
            if isinstance(module, LoraLayer)
        }
        if self._peft.modules_to_save or not all(plain_linear(each) for each in layers.values()):
            self._discard(inner_name(ref.version))
            raise AdapterError(
                f"adapter {ref.version!r} is more than a plain LoRA on linear layers",
                hint="Train it without DoRA, bias, embeddings or extra modules.",
            )
        for layer in layers.values():
            if not isinstance(layer.forward, RowLora):
                layer.forward = RowLora(layer, self._mix)
        if self._packed is not None:
            self._packed.adapt({name: layer.forward for name, layer in layers.items()})

    def _discard(self, name: str) -> None:
        self._mix.forget(name)
        if self._peft is None or name not in self._peft.peft_config:
            return
        others = [other for other in self._peft.peft_config if other != name]
        if not others:
            self._base = self._peft.unload()
            self._peft = None
            if self._packed is not None:
                self._packed.adapt({})
            return
        # PEFT warns when the active adapter goes; rows name theirs, so which one is active is moot.
        self._peft.set_adapter(others[0])
        self._peft.delete_adapter(name)


class EmbeddedBackend:
    """An embedded engine as what holds adapters; see `rag_adapt.engines.lifecycle`.

    Args:
        engine: Where they are loaded.
    """

    def __init__(self, engine: "EmbeddedEngine") -> None:
        self._engine = engine

    async def registered(self) -> frozenset[str]:
        """The versions in memory."""
        return frozenset(self._engine.resident())

    async def load(self, ref: AdapterRef) -> None:
        """Load an adapter beside the others.

        Raises:
            AdapterError: it cannot be read, or does not fit the model.
        """
        await self._engine.load_adapter(ref)

    async def unload(self, version: str) -> None:
        """Remove an adapter from memory; one that is gone already is no fault.

        Raises:
            AdapterError: a request that was not counted uses it.
        """
        if version in self._engine.resident():
            await self._engine.unload_adapter(version)


def _first_line(exc: Exception) -> str:
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
    return " ".join(lines[:2]) or type(exc).__name__
