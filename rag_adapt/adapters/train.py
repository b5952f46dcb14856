"""Trains an adapter, measures it, stores a probe with it and publishes it.

It does not know skills, settings or engines. What it makes appears in the store at once and
complete, or not at all.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from rag_adapt.adapters import lora, record
from rag_adapt.adapters.card import Card, TrainingSettings, Trial
from rag_adapt.adapters.check import WEIGHTS_FILE
from rag_adapt.adapters.checkpoint import Unfinished
from rag_adapt.adapters.estimate import require_memory
from rag_adapt.adapters.examples import TrainingRow
from rag_adapt.adapters.fit import Fit, Tokens, fit
from rag_adapt.adapters.four_bit import (
    load_four_bit,
    load_in_full,
    require_four_bit,
    with_adapter,
)
from rag_adapt.adapters.general_data import ends
from rag_adapt.adapters.memory import PeakMemory
from rag_adapt.adapters.pack import TokenRow
from rag_adapt.adapters.plan import Base, TrainPlan, items_hash, rows_hash
from rag_adapt.adapters.probe import LONG_PROMPTS, PROBE_FILE, PROMPTS
from rag_adapt.adapters.store import AdapterStore
from rag_adapt.adapters.watch import KEEP_EVERY
from rag_adapt.core.errors import AdapterError
from rag_adapt.core.protocols import Progress, Silent
from rag_adapt.core.types import content_hash
from rag_adapt.models.chat import ChatFormat
from rag_adapt.models.files import ModelFiles
from rag_adapt.models.loading import Device, LoadedModel, load_language_model

__all__ = ["Base", "TrainPlan", "items_hash", "train"]
LIBRARIES: Final = ("peft", "safetensors", "torch", "transformers")
DEV_LIMIT: Final = 16
"""Dev rows that the held-out code length is measured on, at most."""
LONG_DEV_LIMIT: Final = 8
"""The same for rows that carry passages: each costs several times as much."""


def train(
    plan: TrainPlan,
    *,
    base: Base,
    chat: ChatFormat,
    store: AdapterStore,
    progress: Progress | None = None,
    sweep: Sequence[Trial] = (),
    every: float = KEEP_EVERY,
    check_memory: bool = True,
) -> Card:
    """Train on a copy of the base model of its own, keep the best weights by dev, and publish.

    The same plan, base and machine give the same version, which becomes current for its name,
    also if it was interrupted and started again: it then goes on from its last checkpoint.
    Interrupted at any point, it leaves no adapter behind.

    Args:
        plan: What to train on and how.
        base: The model to adapt; loaded afresh, so that an engine's copy stays as it is.
        chat: Its chat format, the one that serves.
        store: Where the adapter is published and, until then, its checkpoint lies.
        progress: Stages `train` (with loss and held-out code length) and `probe`.
        sweep: What was tried before, for the card.
        every: Seconds between checkpoints.
        check_memory: Estimate the memory first, and stop if it is not there.

    Returns:
        The card as stored, with its version.

    Raises:
        AdapterError: a row does not fit into the model's context, the training not into memory,
            or training diverged.
        MissingPackageError: four bits were asked for without bitsandbytes.
        ModelNotFoundError: the base model's files are damaged.
        StorageError: the weights, or a checkpoint, could not be written.
    """
    shown = progress or Silent()
    with store.workspace() as work:
        tokens = tokens_of(plan, chat)
        require(plan, tokens, base, check_memory=check_memory)
        loaded = load(base)
        refuse_long(plan, tokens, loaded.context)
        memory = PeakMemory(loaded.device)
        adapted = lora.adapt(loaded.model, plan)
        place = unfinished(plan, base=base, chat=chat, store=store, scratch=work)
        done = fit(
            adapted, plan, tokens, folder=work, progress=shown, unfinished=place, every=every
        )
        if not done.finite:
            place.remove()
            raise _diverged(plan)
        peak = memory.bytes()
        lora.save(adapted, work, base_name=base.name)
        modules, probed, peft = adapted.modules, loaded, adapted.peft
        if base.four_bit:
            del adapted, loaded, peft
            probed = load_in_full(
                _files(base), device=base.device, deterministic=base.dtype == "float32"
            )
            peft = with_adapter(probed, work)
        _record_probe(peft, plan, tokens, probed, work, shown)
        card = _card(plan, base, chat, tokens, done).model_copy(
            update={
                "peak_memory_bytes": peak,
                "size_bytes": (work / WEIGHTS_FILE).stat().st_size,
                "sweep": tuple(sweep),
            }
        )
        published = store.publish(work, card, base_modules=modules)
        place.remove()
        return published


def require(plan: TrainPlan, tokens: Tokens, base: Base, *, check_memory: bool) -> None:
    """Stop before anything is loaded if a package is missing or memory is too small.

    Raises:
        MissingPackageError: four bits were asked for without bitsandbytes.
        AdapterError: it would not fit, or four bits were asked for without a GPU.
    """
    if base.four_bit:
        require_four_bit(base.device)
    if check_memory:
        require_memory(plan, tokens, base)


def unfinished(
    plan: TrainPlan, *, base: Base, chat: ChatFormat, store: AdapterStore, scratch: Path
) -> Unfinished:
    """Where this very training keeps its checkpoint: another plan, base or library, another place.

    Args:
        plan: All of it counts.
        base: By the hash of its weights and by what it computes in.
        chat: By the hash of its template.
        store: Whose folder holds checkpoints.
        scratch: A private folder of that store.
    """
    identity = {
        **settings_of(plan, base),
        "name": plan.name,
        "base": base.weights_hash,
        "chat": chat.template_hash,
        "libraries": _libraries(),
    }
    return Unfinished(folder=store.folder, key=content_hash(identity), scratch=scratch)


def tokens_of(plan: TrainPlan, chat: ChatFormat) -> Tokens:
    """All rows that the training reads."""
    return Tokens(
        rows=tuple(tokenise(plan.rows, chat)),
        general=tuple(tokenise(plan.general, chat)),
        dev=tuple(tokenise(_dev(plan), chat)),
    )


def _dev(plan: TrainPlan) -> tuple[TrainingRow, ...]:
    return plan.dev[: LONG_DEV_LIMIT if plan.with_context else DEV_LIMIT]


def tokenise(rows: Sequence[TrainingRow], chat: ChatFormat) -> list[TokenRow]:
    """Prompts and answers as the tokens that serving uses.

    An answer that was cut short does not teach where to end.
    """
    found = []
    for row in rows:
        answer = chat.answer_ids(row.target)
        found.append(
            TokenRow(prompt=chat.render(row.messages), answer=answer if ends(row) else answer[:-1])
        )
    return found


def load(base: Base) -> LoadedModel:
    """The base model as training needs it, a copy of its own.

    Raises:
        ModelNotFoundError: the files are damaged.
        MissingPackageError: four bits were asked for without bitsandbytes.
    """
    files = _files(base)
    if base.four_bit:
        return load_four_bit(files, dtype=base.dtype)
    device: Device = "cuda" if base.device == "cuda" else "cpu"
    return load_language_model(files, device=device, deterministic=base.dtype == "float32")


def _files(base: Base) -> ModelFiles:
    return ModelFiles(name=base.name, path=base.path, weights=base.weights_hash, source="folder")


def refuse_long(plan: TrainPlan, tokens: Tokens, context: int) -> None:
    """Stop if a row has more tokens than the model can hold.

    Raises:
        AdapterError: naming the row.
    """
    rows = (*plan.rows, *plan.general, *_dev(plan))
    for row, counted in zip(rows, tokens.all, strict=True):
        if counted.tokens > context:
            raise AdapterError(
                f"item {row.item_id!r} has {counted.tokens} tokens with its prompt and answer; "
                f"the model holds {context}",
                hint="Shorten the item or the template, or choose a model with more context "
                "(--model).",
            )


def _record_probe(
    peft: Any,
    plan: TrainPlan,
    tokens: Tokens,
    loaded: LoadedModel,
    work: Path,
    progress: Progress,
) -> None:
    progress.update("probe", 0, 1)
    asked, rows = (plan.dev, tokens.dev) if tokens.dev else (plan.rows, tokens.rows)
    named = {row.item_id: counted for row, counted in zip(asked, rows, strict=False)}
    prompts = LONG_PROMPTS if plan.with_context else PROMPTS
    probe = record.record_probe(peft, named, prompts=prompts, base=loaded)
    (work / PROBE_FILE).write_text(probe.model_dump_json() + "\n", encoding="utf-8")
    progress.update("probe", 1, 1)


def _diverged(plan: TrainPlan) -> AdapterError:
    return AdapterError(
        f"training {plan.name!r} diverged at learning rate {plan.learning_rate}",
        hint=f"Train again with a lower one: --lr {plan.learning_rate / 10:g}.",
    )


@cache
def _libraries() -> dict[str, str]:
    return {name: version(name) for name in LIBRARIES}


def settings_of(plan: TrainPlan, base: Base) -> dict[str, Any]:
    """All that is decided before a training starts, as its card records it under `settings`.

    A card with other values was made by another training.
    """
    return {
        "rank": plan.rank,
        "alpha": plan.alpha,
        "learning_rate": plan.learning_rate,
        "epochs": plan.epochs,
        "batch_size": plan.batch_size,
        "seed": plan.seed,
        "dtype": base.dtype,
        "device": base.device,
        "general_share": plan.general_share,
        "general_hash": rows_hash(plan.general) if plan.general else "",
        "data_hash": content_hash([rows_hash(plan.rows), rows_hash(_dev(plan)), plan.learned_from]),
        "gradient_checkpointing": plan.gradient_checkpointing,
        "four_bit": base.four_bit,
    }


def _card(plan: TrainPlan, base: Base, chat: ChatFormat, tokens: Tokens, done: Fit) -> Card:
    settings = {**settings_of(plan, base), "shared_prefix": done.start.shared}
    return Card(
        name=plan.name,
        skill=plan.skill,
        skill_hash=plan.skill_hash,
        items_hash=items_hash(plan.rows),
        learned_from=plan.learned_from,
        base_model=base.name,
        weights_hash=base.weights_hash,
        chat_template_hash=chat.template_hash,
        template_hash=plan.template_hash,
        with_context=plan.with_context,
        settings=TrainingSettings(**settings),
        examples=len(plan.rows),
        tokens=plan.epochs * sum(row.tokens for row in tokens.rows),
        answer_tokens=plan.epochs * sum(len(row.answer) for row in tokens.rows),
        seconds=round(done.seconds, 3),
        peak_memory_bytes=0,
        size_bytes=0,
        loss_curve=done.losses,
        dev_examples=len(tokens.dev),
        dev_bits_before=done.start.before,
        dev_bits_after=done.after,
        dev_curve=done.curve,
        best_step=done.best_step,
        general=plan.general_sources,
        libraries=_libraries(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
