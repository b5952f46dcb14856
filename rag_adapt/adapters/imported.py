"""Makes an adapter of the store out of one that was trained elsewhere.

It does not know where it came from, settings or engines. Nothing is invented: what the training
took stays unknown, and what the base model can compute about it is computed.
"""

import math
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rag_adapt.adapters import record
from rag_adapt.adapters.card import Card, Imported, TrainingSettings
from rag_adapt.adapters.check import WEIGHTS_FILE, validate
from rag_adapt.adapters.examples import TrainingRow, training_rows
from rag_adapt.adapters.four_bit import with_adapter
from rag_adapt.adapters.plan import Base
from rag_adapt.adapters.probe import LONG_PROMPTS, PROBE_FILE, PROMPTS, Probe
from rag_adapt.adapters.store import AdapterStore, check_name
from rag_adapt.adapters.train import load, tokenise
from rag_adapt.adapters.upload import NEEDED, Taken
from rag_adapt.core.errors import AdapterError
from rag_adapt.core.protocols import Progress, Silent
from rag_adapt.core.types import Item, Passage
from rag_adapt.models.loading import LoadedModel
from rag_adapt.skills.skill import Skill

WRONG_BASE: Final = (
    "Check that it was trained for this base model (--model), and with the messages that the "
    "skill's template gives."
)


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """An adapter to be imported."""

    folder: Path
    """As `upload.take` wrote it."""
    taken: Taken
    name: str
    skill: Skill
    passages: Mapping[str, tuple[Passage, ...]] | None = None
    """What retrieval finds for each of `probe_items`; None: it was trained without passages."""

    @property
    def with_context(self) -> bool:
        """Whether its prompts carry passages."""
        return self.passages is not None


def probe_items(skill: Skill, *, with_context: bool) -> tuple[Item, ...]:
    """The items that the probe asks: of dev, or of train where there are none.

    Raises:
        AdapterError: the skill has no template that shows passages, and these are wanted.
    """
    if with_context and skill.context is None:
        raise AdapterError(
            f"skill {skill.name!r} has no template that shows passages",
            hint="Import the adapter without --context, or add `templates/context.toml`.",
        )
    items = skill.items_of("dev") or skill.items_of("train")
    return tuple(items[: LONG_PROMPTS if with_context else PROMPTS])


def import_adapter(
    arrival: Arrival, *, base: Base, store: AdapterStore, progress: Progress | None = None
) -> Card:
    """Probe an adapter on its base model and publish it; it becomes current for its name.

    Weights that the store has under this name already keep their card.

    Raises:
        AdapterError: it does not fit the base model, computes no numbers, or changes nothing.
    """
    check_name(arrival.name)
    shown = progress or Silent()
    shown.update("load", 0, 1)
    loaded = load(base)
    modules = frozenset(name for name, _ in loaded.model.named_modules())
    shown.update("load", 1, 1)
    with store.workspace() as work:
        for name in NEEDED:
            shutil.copyfile(arrival.folder / name, work / name)
        validate(work, base_modules=modules)
        shown.update("probe", 0, 1)
        probe = _probed(arrival, loaded, work, modules)
        (work / PROBE_FILE).write_text(probe.model_dump_json() + "\n", encoding="utf-8")
        shown.update("probe", 1, 1)
        size = (work / WEIGHTS_FILE).stat().st_size
        return store.publish(work, _card(arrival, loaded, base, size), base_modules=modules)


def _probed(arrival: Arrival, loaded: LoadedModel, work: Path, modules: Collection[str]) -> Probe:
    """What base and adapter say about a few prompts.

    Raises:
        AdapterError: no numbers, or the same ones.
    """
    rows = _rows(arrival)
    counted = tokenise(rows, loaded.chat)
    named = {row.item_id: tokens for row, tokens in zip(rows, counted, strict=True)}
    prompts = LONG_PROMPTS if arrival.with_context else PROMPTS
    probe = record.record_probe(_adapted(loaded, work), named, prompts=prompts, base=loaded)
    figures = [figure for prompt in probe.prompts for figure in prompt.adapter]
    if not all(map(math.isfinite, figures)):
        raise AdapterError(
            f"adapter {arrival.name!r} computes no numbers: its weights are damaged",
            hint=WRONG_BASE,
        )
    if probe.effect <= probe.noise:
        raise AdapterError(
            f"adapter {arrival.name!r} changes nothing that the base model says: it could not be "
            "proven",
            hint=WRONG_BASE,
        )
    return probe


def _rows(arrival: Arrival) -> tuple[TrainingRow, ...]:
    skill = arrival.skill
    return training_rows(
        probe_items(skill, with_context=arrival.with_context),
        skill.templates["context" if arrival.with_context else "prompt"],
        labels=skill.labels,
        passages=arrival.passages,
    )


def _adapted(loaded: LoadedModel, work: Path) -> Any:
    """The base model with the adapter in it.

    Raises:
        AdapterError: PEFT does not take it.
    """
    try:
        return with_adapter(loaded, work)
    except (ValueError, RuntimeError, KeyError, TypeError) as error:
        raise AdapterError(f"PEFT does not load it: {str(error)[:300]}", hint=WRONG_BASE) from error


def _card(arrival: Arrival, loaded: LoadedModel, base: Base, size: int) -> Card:
    skill, taken = arrival.skill, arrival.taken
    template = skill.templates["context" if arrival.with_context else "prompt"]
    return Card(
        name=arrival.name,
        skill=skill.name,
        imported=Imported(claimed_base=taken.claimed_base, claimed_peft=taken.claimed_peft),
        skill_hash=None,
        items_hash=None,
        learned_from=None,
        base_model=base.name,
        weights_hash=base.weights_hash,
        chat_template_hash=loaded.chat.template_hash,
        template_hash=template.hash,
        with_context=arrival.with_context,
        settings=_settings(taken),
        examples=None,
        tokens=None,
        answer_tokens=None,
        seconds=None,
        peak_memory_bytes=None,
        size_bytes=size,
        loss_curve=(),
        dev_examples=0,
        dev_bits_before=None,
        dev_bits_after=None,
        libraries={},
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _settings(taken: Taken) -> TrainingSettings:
    return TrainingSettings(
        rank=taken.rank,
        alpha=taken.alpha,
        learning_rate=None,
        epochs=None,
        batch_size=None,
        seed=None,
        dtype=None,
        device=None,
        shared_prefix=None,
    )
