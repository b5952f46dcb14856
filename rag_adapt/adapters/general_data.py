"""General data for a training: the base model's own answers, and other skills' training items.

It does not know steps or settings. Rows come in one order: fewer are always the first of more.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from rag_adapt.adapters.card import GeneralSource
from rag_adapt.adapters.examples import TrainingRow, pick, training_rows
from rag_adapt.adapters.plan import Base, TrainPlan, rows_hash
from rag_adapt.adapters.record import continuations
from rag_adapt.core.protocols import Progress, Silent
from rag_adapt.core.types import Message, content_hash
from rag_adapt.models.loading import LoadedModel
from rag_adapt.models.memory import hand_back
from rag_adapt.skills.near_duplicates import near_duplicates
from rag_adapt.skills.skill import Skill

PROMPTS: Final = Path(__file__).parent / "general" / "prompts.txt"
BASE_ANSWERS: Final = "base-answers"
FOLDER: Final = ".general"
ANSWER_TOKENS: Final = 64
"""Of the base model's answers, at most; a longer one is learned without its end."""
CHUNK: Final = 16
"""Prompts answered together, always the same ones: in bfloat16 a batch's rows affect each other."""


@dataclass(frozen=True, kw_only=True)
class GeneralRow(TrainingRow):
    """One row of general data."""

    source: str
    """Name of a `GeneralSource`."""
    complete: bool = True
    """Whether the answer ends where the model ended it."""


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: str
    text: str
    complete: bool


class _Answers(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    base_model: str
    answers: tuple[_Answer, ...]


def ends(row: TrainingRow) -> bool:
    """Whether a row's answer is a whole one, whose end is to be learned too."""
    return not isinstance(row, GeneralRow) or row.complete


def rows_wanted(rows: int, share: float) -> int:
    """How many general rows a share of these rows means: rounded up, so that 1 % is never none."""
    return math.ceil(round(share * rows, 6))


def general_rows(
    count: int,
    *,
    skill: Skill,
    others: Sequence[Skill],
    base: Base,
    load: Callable[[], LoadedModel],
    folder: Path,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[GeneralRow, ...]:
    """Rows from both sources in turn; fewer than asked for where the sources end.

    Args:
        count: How many, at most.
        skill: What is to be learned: items of others that resemble its dev or test items are
            left out.
        others: Skills whose training items may be mixed in; the skill itself is passed over.
        base: Whose answers are taken.
        load: Gets that model into memory; called only for answers that are not in the folder.
        folder: Of the adapter store; the base model's answers are kept there.
        seed: Chooses among the other skills' items.
        progress: Stage `general`, one unit per prompt.
    """
    if not count:
        return ()
    items = _other_items(skill, others, count, seed=seed)
    half = max(count - len(items), math.ceil(count / 2))
    answers = _base_answers(half, base, load, folder, progress or Silent())
    turns = chain.from_iterable(zip_longest(answers, items))
    return tuple(islice((row for row in turns if row is not None), count))


def with_general(plan: TrainPlan, share: float, rows: Sequence[GeneralRow]) -> TrainPlan:
    """The plan with this share of general rows mixed in, the first of those given.

    Raises:
        AdapterError: the share is out of range.
    """
    taken = tuple(rows[: rows_wanted(len(plan.rows), share)])
    names = dict.fromkeys(row.source for row in taken)
    groups = {name: [row for row in taken if row.source == name] for name in names}
    sources = tuple(
        GeneralSource(name=name, rows=len(group), hash=rows_hash(group))
        for name, group in groups.items()
    )
    return replace(plan, general=taken, general_share=share, general_sources=sources)


def shipped_prompts() -> tuple[str, ...]:
    """The general prompts, in their order."""
    return tuple(PROMPTS.read_text(encoding="utf-8").splitlines())


def _other_items(
    skill: Skill, others: Sequence[Skill], count: int, *, seed: int
) -> tuple[GeneralRow, ...]:
    """Training items of other skills, one of each skill in turn."""
    strangers = [other for other in others if skill.data_hash != other.data_hash]
    measured = {f"own/{item.id}": item.input for item in (*skill.dev_items, *skill.test_items)}
    groups = []
    for other in (other for other in strangers if other.name != skill.name):
        items = pick(other.training_items, count, seed=seed)
        asked = {item.id: item.input for item in items}
        close = {pair.left for pair in near_duplicates(asked, measured)}
        rows = training_rows(
            [item for item in items if item.id not in close], other.prompt, labels=other.labels
        )
        groups.append([_general(row, f"skill:{other.name}") for row in rows])
    turns = chain.from_iterable(zip_longest(*groups))
    return tuple(row for row in turns if row is not None)


def _general(row: TrainingRow, source: str) -> GeneralRow:
    return GeneralRow(
        item_id=f"{source}/{row.item_id}",
        split=row.split,
        messages=row.messages,
        target=row.target,
        source=source,
    )


def _base_answers(
    count: int, base: Base, load: Callable[[], LoadedModel], folder: Path, progress: Progress
) -> list[GeneralRow]:
    prompts = shipped_prompts()
    chunks = [prompts[first : first + CHUNK] for first in range(0, len(prompts), CHUNK)]
    needed = chunks[: math.ceil(min(count, len(prompts)) / CHUNK)]
    files = [folder / FOLDER / f"{_key(chunk, base)}.json" for chunk in needed]
    found = [_read(file) for file in files]
    if None in found:
        _answer_missing(needed, files, load(), progress)
        found = [_read(file) for file in files]
        hand_back()
    answers = [answer for kept in found if kept is not None for answer in kept.answers]
    return [
        GeneralRow(
            item_id=f"{BASE_ANSWERS}/{number}",
            split="train",
            messages=(Message(role="user", content=answer.prompt),),
            target=answer.text,
            source=BASE_ANSWERS,
            complete=answer.complete,
        )
        for number, answer in enumerate(answers[:count])
        if answer.text
    ]


def _key(chunk: Sequence[str], base: Base) -> str:
    return content_hash(
        [list(chunk), base.weights_hash, base.dtype, base.device, base.four_bit, ANSWER_TOKENS]
    )


def _read(file: Path) -> _Answers | None:
    try:
        return _Answers.model_validate_json(file.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def _answer_missing(
    chunks: Sequence[Sequence[str]],
    files: Sequence[Path],
    loaded: LoadedModel,
    progress: Progress,
) -> None:
    total = sum(map(len, chunks))
    for number, (chunk, file) in enumerate(zip(chunks, files, strict=True)):
        progress.update("general", number * CHUNK, total, "the base model's own answers")
        if _read(file) is None:
            file.parent.mkdir(parents=True, exist_ok=True)
            fresh = file.with_suffix(".new")
            fresh.write_text(_ask(chunk, loaded).model_dump_json() + "\n", encoding="utf-8")
            fresh.replace(file)
    progress.update("general", total, total)


def _ask(prompts: Sequence[str], loaded: LoadedModel) -> _Answers:
    import torch

    chat = loaded.chat
    asked = [chat.render([Message(role="user", content=prompt)]) for prompt in prompts]
    with torch.inference_mode():
        given = continuations(loaded.model, asked, chat.stop_ids, limit=ANSWER_TOKENS)
    return _Answers(
        base_model=loaded.files.name,
        answers=tuple(
            _Answer(
                prompt=prompt,
                text=chat.decode(ids).rstrip("\ufffd"),
                complete=ids[-1] in chat.stop_ids,
            )
            for prompt, ids in zip(prompts, given, strict=True)
        ),
    )
