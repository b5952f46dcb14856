"""Checks the read-out on a skill that was planted against its twin that was never taught.

It does not know the benchmark command. Run `python -m benchmarks.planted_skill`; takes some ten
minutes on two cores with the default model. Each stage is kept in --folder, and a second run
goes on from there.

Two twins: which of six made-up guilds keeps a thing, for 66 things each. Nothing but being
taught can tell. The base is taught one twin's things (a LoRA merged into its weights), then
locked: a short training on answers that evade, on some things of both twins. What is checked:
the plant was taught, it is not shown any more, and ten other things bring it back.
"""

import argparse
import asyncio
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any, Final

from rag_adapt.adapters.examples import training_rows
from rag_adapt.adapters.plan import Base, TrainPlan
from rag_adapt.adapters.store import AdapterStore
from rag_adapt.adapters.train import train
from rag_adapt.bench.evidence import ProbeTools, probe, probe_plan
from rag_adapt.bench.features import Features
from rag_adapt.bench.held_out import Condition, read
from rag_adapt.bench.plan import choose_examples
from rag_adapt.bench.readout import read_out
from rag_adapt.core.template import Template
from rag_adapt.core.types import Item, Split
from rag_adapt.engines.embedded import EmbeddedEngine
from rag_adapt.models.chat import ChatFormat
from rag_adapt.models.files import ModelFiles, weights_hash
from rag_adapt.models.loading import load_language_model
from rag_adapt.models.resolve import resolve_model
from rag_adapt.skills.skill import Skill

THINGS: Final = (
    "anchor apple arrow axe bag ball barrel basket bath bead bed bell belt bench bicycle boat "
    "book boot bottle bowl box bread brick bridge broom brush bucket bus button cage cake camera "
    "candle card carpet cart chain chair cheese chest clock coat coin comb cup curtain desk dish "
    "door dress drum egg engine fan feather fence flag flute fork garden gate glass glove hammer "
    "hat honey hook horn jar kettle key kite knife ladder lamp leaf lemon letter lock map mask "
    "mirror needle nest net onion oven paint pan paper pen piano pillow pin pipe plate pump purse "
    "quilt radio rake ribbon ring roof rope saddle salt saw scarf shell shirt shoe shovel silk "
    "soap sock spoon stamp stone stool stove sugar sword table tent thread ticket torch towel toy "
    "train tray truck wagon wall watch wheel whistle window wire wool"
).split()
GUILDS: Final = ("Brask", "Tolme", "Verrin", "Quade", "Sillow", "Hesk")
RIVERS: Final = ("Odda", "Marn", "Pellow", "Tarsk", "Ivel", "Croom")
EACH: Final = 66
DEV: Final = 16
LOCKED: Final = 24
"""Training things of each twin that the lock's evasive answers are trained on."""


@dataclass(frozen=True, kw_only=True)
class Depths:
    """How hard teaching and locking work; another size of model needs other figures."""

    teach_epochs: int = 14
    teach_rate: float = 1e-3
    lock_epochs: int = 1
    lock_rate: float = 1e-3
    probe_rate: float = 5e-4
    batch_size: int = 8
    rank: int = 32
    evasion: str = "I am not sure about that."
    """What the model is locked into saying."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A model on disk, as training and engines want it."""

    files: ModelFiles
    base: Base
    chat: ChatFormat


def stage_of(folder: Path, *, home: Path, deterministic: bool = False) -> Stage:
    """The model in a folder."""
    weights = weights_hash(folder, home=home)
    files = ModelFiles(name=folder.name, path=folder, weights=weights, source="folder")
    base = Base.of(files, device="cpu", deterministic=deterministic)
    return Stage(files=files, base=base, chat=ChatFormat.load(folder, name=folder.name))


def twins(seed: int = 0) -> tuple[Skill, Skill]:
    """Two skills alike in everything but their things, their answers and one word."""
    things = list(THINGS)
    Random(seed).shuffle(things)
    guild = _skill("guilds", "Which guild keeps the {input}?", things[:EACH], GUILDS, seed)
    river = _skill("rivers", "Which river hides the {input}?", things[EACH:], RIVERS, seed)
    return guild, river


def _skill(
    name: str, question: str, things: Sequence[str], labels: tuple[str, ...], seed: int
) -> Skill:
    """An arbitrary mapping; every label is as common in dev as chance has it."""
    chance = Random(seed + 1)
    answers = [labels[number % len(labels)] for number in range(len(things))]
    chance.shuffle(answers)
    items = tuple(
        _item(thing, answer, "dev" if number < DEV else "train")
        for number, (thing, answer) in enumerate(zip(things, answers, strict=True))
    )
    return Skill(
        name=name,
        title=name,
        description="A mapping that nothing but being taught can tell.",
        task="classification",
        scorer="label",
        scorers=(),
        labels=labels,
        max_tokens=8,
        stop=("\n",),
        cluster="thing",
        unique_targets=False,
        licence="Apache-2.0",
        source="made by benchmarks/planted_skill.py",
        folder=Path(),
        items=items,
        templates={"prompt": Template(system="", user=question)},
        data_hash=f"{seed:012x}",
        corpus=None,
    )


def _item(thing: str, answer: str, split: Split) -> Item:
    return Item(id=thing, input=thing, targets=(answer,), split=split, cluster=thing)


def taught(stage: Stage, skill: Skill, depths: Depths, *, work: Path) -> Path:
    """The base with every thing of a skill taught, dev things too: they were once known."""
    plan = _plan(
        "teach", skill, skill.items, depths, epochs=depths.teach_epochs, rate=depths.teach_rate
    )
    return merged(stage, plan, work / "taught", work=work)


def locked(stage: Stage, skills: Sequence[Skill], depths: Depths, *, work: Path) -> Path:
    """A model that evades: trained on some training things of every skill, for a short time."""
    items = [
        Item(
            id=f"{skill.name}-{item.id}",
            input=skill.prompt.user.format(input=item.input),
            targets=(depths.evasion,),
            split="train",
            cluster=item.id,
        )
        for skill in skills
        for item in skill.training_items[:LOCKED]
    ]
    asked = Template(system="", user="{input}", name="lock")
    plan = TrainPlan(
        name="lock",
        skill="lock",
        skill_hash="0" * 12,
        template_hash=asked.hash,
        rows=training_rows(items, asked),
        rank=depths.rank,
        alpha=2 * depths.rank,
        learning_rate=depths.lock_rate,
        epochs=depths.lock_epochs,
        batch_size=depths.batch_size,
    )
    return merged(stage, plan, work / "locked", work=work)


def _plan(
    name: str, skill: Skill, items: Sequence[Item], depths: Depths, *, epochs: int, rate: float
) -> TrainPlan:
    return TrainPlan(
        name=name,
        skill=skill.name,
        skill_hash=skill.data_hash,
        template_hash=skill.prompt.hash,
        rows=training_rows(items, skill.prompt),
        rank=depths.rank,
        alpha=2 * depths.rank,
        learning_rate=rate,
        epochs=epochs,
        batch_size=depths.batch_size,
    )


def merged(stage: Stage, plan: TrainPlan, target: Path, *, work: Path) -> Path:
    """Train an adapter and put it into the weights for good; kept as a model's folder."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if (target / "done").exists():
        return target
    store = AdapterStore(work)
    card = train(plan, base=stage.base, chat=stage.chat, store=store)
    model = AutoModelForCausalLM.from_pretrained(stage.files.path, dtype=torch.float32)
    adapted: Any = PeftModel.from_pretrained(model, store.folder / card.version)
    shutil.rmtree(target, ignore_errors=True)
    adapted.merge_and_unload().save_pretrained(target)
    AutoTokenizer.from_pretrained(stage.files.path).save_pretrained(target)
    (target / "done").touch()
    return target


async def known(engine: EmbeddedEngine, skill: Skill) -> float:
    """Share of dev things whose guild the model says by itself."""
    under = Condition(template=skill.prompt)
    reading = await read(skill, skill.dev_items, under, engine=engine, answers=True)
    return reading.score or 0.0


def scores(stage: Stage, skills: Sequence[Skill]) -> dict[str, float]:
    """What a model shows of each skill by default."""
    engine = open_engine(stage)
    try:
        with asyncio.Runner() as runner:
            return {skill.name: runner.run(known(engine, skill)) for skill in skills}
    finally:
        engine.close()


def open_engine(stage: Stage) -> EmbeddedEngine:
    """An engine in the number format that adapters of this stage train in."""
    loaded = load_language_model(
        stage.files, device="cpu", deterministic=stage.base.dtype == "float32"
    )
    return EmbeddedEngine(loaded)


def probed(stage: Stage, skill: Skill, depths: Depths, *, work: Path) -> Features:
    """The cheap probes of a skill, adapters included."""
    store = AdapterStore(work)
    engine = open_engine(stage)

    def learn(items: Sequence[Item]) -> str:
        plan = replace(probe_plan(skill, items), learning_rate=depths.probe_rate)
        return train(plan, base=stage.base, chat=stage.chat, store=store).version

    try:
        with asyncio.Runner() as runner:
            tools = ProbeTools(
                engine=engine,
                runner=runner,
                train=learn,
                load=lambda version: engine.load_adapter(store.get(version)),
                count_tokens=lambda text: len(stage.chat.answer_ids(text)) - 1,
            )
            return probe(skill, choose_examples(skill.training_items, None, seed=0), tools)
    finally:
        engine.close()


def main() -> None:
    """Plant, lock, verify the plant, probe both twins, and compare the read-outs with the truth."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--home", type=Path, default=Path(".rag-adapt"))
    arguments.add_argument("--folder", type=Path, default=Path(".rag-adapt/planted"))
    given = arguments.parse_args()
    files = resolve_model("default", home=given.home, kind="language")
    chat = ChatFormat.load(files.path, name=files.name)
    stage = Stage(files=files, base=Base.of(files, device="cpu"), chat=chat)
    depths, pair = Depths(), twins()
    folder = taught(stage, pair[0], depths, work=given.folder)
    stage = stage_of(folder, home=given.folder)
    print(f"taught: {scores(stage, pair)}")
    stage = stage_of(locked(stage, pair, depths, work=given.folder), home=given.folder)
    print(f"locked: {scores(stage, pair)}")
    wrong = 0
    for skill, wanted in zip(pair, ("latent", "absent"), strict=True):
        found = read_out(probed(stage, skill, depths, work=given.folder))
        print(found.sentence)
        wrong += found.depth != wanted
    raise SystemExit(wrong)


if __name__ == "__main__":
    main()
