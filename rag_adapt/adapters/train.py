"""Trains an adapter, measures it, stores a probe with it and publishes it.

It does not know skills, settings or engines. What it makes appears in the store at once and
complete, or not at all.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Final

from rag_adapt.adapters import lora, record
from rag_adapt.adapters.card import Card, TrainingSettings
from rag_adapt.adapters.check import WEIGHTS_FILE
from rag_adapt.adapters.examples import TrainingRow
from rag_adapt.adapters.memory import PeakMemory
from rag_adapt.adapters.pack import TokenRow
from rag_adapt.adapters.plan import Base, TrainPlan, items_hash
from rag_adapt.adapters.probe import PROBE_FILE
from rag_adapt.adapters.store import AdapterStore
from rag_adapt.core.errors import AdapterError
from rag_adapt.core.protocols import Progress, Silent
from rag_adapt.models.chat import ChatFormat
from rag_adapt.models.files import ModelFiles
from rag_adapt.models.loading import Device, LoadedModel, load_language_model

__all__ = ["Base", "TrainPlan", "items_hash", "train"]
LIBRARIES: Final = ("peft", "safetensors", "torch", "transformers")
DEV_LIMIT: Final = 16
"""Dev rows that the held-out code length is measured on, at most."""


def train(
    plan: TrainPlan,
    *,
    base: Base,
    chat: ChatFormat,
    store: AdapterStore,
    progress: Progress | None = None,
) -> Card:
    """Train on a copy of the base model of its own, and publish.

    The same plan, base and machine give the same version, which becomes current for its name.
    Interrupted at any point, it leaves no adapter behind.

    Args:
        plan: What to train on and how.
        base: The model to adapt; loaded afresh, so that an engine's copy stays as it is.
        chat: Its chat format, the one that serves.
        store: Where the adapter is published.
        progress: Stages `train` (with loss and held-out code length) and `probe`.

    Returns:
        The card as stored, with its version.

    Raises:
        AdapterError: a row does not fit into the model's context, or training diverged.
        ModelNotFoundError: the base model's files are damaged.
        StorageError: the weights could not be written.
    """
    shown = progress or Silent()
    with store.workspace() as work:
        rows = tokenise(plan.rows, chat)
        dev = tokenise(plan.dev[:DEV_LIMIT], chat)
        loaded = _load(base)
        _refuse_long(plan, [*rows, *dev], loaded.context)
        memory = PeakMemory(loaded.device)
        adapted = lora.adapt(loaded.model, plan)
        start = time.perf_counter()
        fit = lora.fit(adapted, plan, rows, dev, folder=work, progress=shown)
        seconds = time.perf_counter() - start
        peak = memory.bytes()
        lora.save(adapted, work, base_name=base.name)
        shown.update("probe", 0, 1)
        asked = plan.dev or plan.rows
        named = {row.item_id: tokens for row, tokens in zip(asked, dev or rows, strict=False)}
        probe = record.record_probe(adapted.peft, named, base=loaded)
        (work / PROBE_FILE).write_text(probe.model_dump_json() + "\n", encoding="utf-8")
        shown.update("probe", 1, 1)
        cost = {
            "seconds": round(seconds, 3),
            "peak_memory_bytes": peak,
            "size_bytes": (work / WEIGHTS_FILE).stat().st_size,
        }
        card = _card(plan, base, chat, rows, fit).model_copy(update=cost)
        return store.publish(work, card, base_modules=adapted.modules)


def tokenise(rows: Sequence[TrainingRow], chat: ChatFormat) -> list[TokenRow]:
    """Prompts and answers as the tokens that serving uses."""
    return [
        TokenRow(prompt=chat.render(row.messages), answer=chat.answer_ids(row.target))
        for row in rows
    ]


def _load(base: Base) -> LoadedModel:
    files = ModelFiles(name=base.name, path=base.path, weights=base.weights_hash, source="folder")
    device: Device = "cuda" if base.device == "cuda" else "cpu"
    return load_language_model(files, device=device, deterministic=base.dtype == "float32")


def _refuse_long(plan: TrainPlan, tokens: Sequence[TokenRow], context: int) -> None:
    for row, counted in zip((*plan.rows, *plan.dev[:DEV_LIMIT]), tokens, strict=True):
        if counted.tokens > context:
            raise AdapterError(
                f"item {row.item_id!r} has {counted.tokens} tokens with its prompt and answer; "
                f"the model holds {context}",
                hint="Shorten the item or the template, or choose a model with more context "
                "(--model).",
            )


def settings_of(plan: TrainPlan, base: Base) -> dict[str, Any]:
    """The knobs of a training that are decided before it starts."""
    return {
        "rank": plan.rank,
        "alpha": plan.alpha,
        "learning_rate": plan.learning_rate,
        "epochs": plan.epochs,
        "batch_size": plan.batch_size,
        "seed": plan.seed,
        "dtype": base.dtype,
        "device": base.device,
    }


def _card(
    plan: TrainPlan, base: Base, chat: ChatFormat, rows: Sequence[TokenRow], fit: lora.Fit
) -> Card:
    settings = {**settings_of(plan, base), "shared_prefix": fit.shared}
    return Card(
        name=plan.name,
        skill=plan.skill,
        skill_hash=plan.skill_hash,
        items_hash=items_hash(plan.rows),
        base_model=base.name,
        weights_hash=base.weights_hash,
        chat_template_hash=chat.template_hash,
        template_hash=plan.template_hash,
        with_context=plan.with_context,
        settings=TrainingSettings(**settings),
        examples=len(plan.rows),
        tokens=plan.epochs * sum(row.tokens for row in rows),
        answer_tokens=plan.epochs * sum(len(row.answer) for row in rows),
        seconds=0.0,
        peak_memory_bytes=0,
        size_bytes=0,
        loss_curve=fit.losses,
        dev_examples=len(plan.dev[:DEV_LIMIT]),
        dev_bits_before=fit.before,
        dev_bits_after=fit.after,
        libraries={name: version(name) for name in LIBRARIES},
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
