"""Chooses the worked examples of a route with DSPy, within the same budget of answers as `tune`.

It does not know test items, and it is never handed one. DSPy proposes which examples to show
(bootstrapped demonstrations under random search, Khattab et al. 2023); the question is asked by
our own route, so that what was optimised is what will be measured.
"""

import asyncio
import io
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TextIO

from rag_adapt.bench.arms import SHOTS, Setup
from rag_adapt.bench.figures import Candidate, Given
from rag_adapt.bench.runner import Judge, Question, ask_one
from rag_adapt.bench.store import AnswerRow
from rag_adapt.bench.tuning import LEAST, Tuned, require_dev
from rag_adapt.core.errors import MissingPackageError
from rag_adapt.core.protocols import Engine, Progress
from rag_adapt.core.types import Example, Item
from rag_adapt.routes.route import Route
from rag_adapt.skills.skill import only_training

if TYPE_CHECKING:
    import dspy

MOST_PROGRAMS: Final = 8
"""Sets of examples that are compared, at most."""
DEV_PART: Final = 16
"""Of so many answers of the budget, one more dev item; never fewer than `LEAST` items."""
BASE_PROGRAMS: Final = 3
"""DSPy's own: no examples, labelled ones, bootstrapped ones; the rest are drawn at random."""
AT_ONCE: Final = 8


@dataclass(frozen=True, kw_only=True)
class Split:
    """How a budget of answers is spent."""

    programs: int
    """Sets of examples that are compared; 1 compares nothing."""
    dev: int
    """Dev items that each of them answers."""
    train: int
    """Training items that may be answered to find examples the model itself gets right."""


def split_budget(budget: int, *, dev: int) -> Split:
    """Half for comparing on dev, the rest for finding examples; never more than the budget.

    Args:
        budget: Answers in all.
        dev: Dev items there are.
    """
    items = min(dev, max(LEAST, budget // DEV_PART))
    programs = min(MOST_PROGRAMS, budget // 2 // items) if items else 0
    if programs < 2:
        return Split(programs=1, dev=0, train=0)
    return Split(programs=programs, dev=items, train=budget - programs * items)


@dataclass(kw_only=True)
class _Asked:
    """What was asked so far, shared by DSPy's threads."""

    left: int
    """Answers on training items that may still be asked."""
    rows: dict[str, list[AnswerRow]] = field(default_factory=dict)
    """On dev, by the setup's name."""
    setups: dict[str, Setup] = field(default_factory=dict)
    trained: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def may_train(self) -> bool:
        with self.lock:
            self.left -= 1
            self.trained += self.left >= 0
            return self.left >= 0

    def note(self, setup: Setup, row: AnswerRow) -> None:
        with self.lock:
            self.setups[setup.name] = setup
            self.rows.setdefault(setup.name, []).append(row)

    @property
    def total(self) -> int:
        return self.trained + sum(map(len, self.rows.values()))


async def optimise(
    name: str,
    first: Setup,
    *,
    build: Callable[[Setup], Route],
    learn: Sequence[Item],
    dev: Sequence[Item],
    judge: Judge,
    engine: Engine,
    budget: int,
    seed: int,
    documents: int,
    progress: Progress,
) -> Tuned:
    """Let DSPy choose which worked examples `first` shows.

    A failure counts as zero here. The best on dev is kept; among equals the one with fewer
    examples.

    Raises:
        MissingPackageError: DSPy is not installed.
        PlanError, SkillError: an item of another split was handed over.
    """
    require_dev(dev)
    learn = only_training(learn, purpose="the prompt optimiser")
    require_dspy()
    spent = split_budget(budget, dev=len(dev)) if learn else Split(programs=1, dev=0, train=0)
    asked, loop = _Asked(left=spent.train), asyncio.get_running_loop()
    stage = f"{judge.skill}: {name} with DSPy"

    def ask(setup: Setup, item: Item) -> AnswerRow:
        question = Question(arm=name, route=build(setup), item=item, repeat=0)
        one = ask_one(question, judge=judge, engine=engine)
        row = asyncio.run_coroutine_threadsafe(one, loop).result()
        if item.split == "dev":
            asked.note(setup, row)
        progress.update(stage, min(asked.total, budget), budget)
        return row

    if spent.programs > 1:
        items = {item.id: item for item in (*learn, *dev[: spent.dev])}
        await asyncio.to_thread(_search, first, items, spent, seed=seed, asked=asked, ask=ask)
    return _tuned(first, asked, examples=len(learn), documents=documents, dev=len(dev), of=budget)


def require_dspy() -> None:
    """Stop where DSPy is not installed.

    Raises:
        MissingPackageError: with the command that installs it.
    """
    from importlib.util import find_spec

    if find_spec("dspy") is None:
        raise MissingPackageError(
            "--optimiser dspy needs the package dspy, which is not installed",
            hint="Run `pip install 'rag-adapt[optimise]'`, or leave out --optimiser.",
        )


def _search(
    first: Setup,
    items: Mapping[str, Item],
    spent: Split,
    *,
    seed: int,
    asked: _Asked,
    ask: Callable[[Setup, Item], AnswerRow],
) -> None:
    """DSPy's part, in a thread of its own: it blocks, and prints what it does."""
    import random

    with _silenced():
        import dspy

        train = [item for item in items.values() if item.split == "train"]
        random.Random(seed).shuffle(train)
        shown = [_demo(dspy, item.id, answer=item.targets[0]) for item in train]
        tested = [_demo(dspy, item.id) for item in items.values() if item.split == "dev"]
        optimiser = dspy.BootstrapFewShotWithRandomSearch(
            metric=lambda example, prediction, trace=None: prediction.score,
            metric_threshold=1.0,
            max_bootstrapped_demos=SHOTS,
            max_labeled_demos=SHOTS,
            num_candidate_programs=spent.programs - BASE_PROGRAMS,
            num_threads=AT_ONCE,
        )
        program = _program(dspy, first, items, asked, ask)
        optimiser.compile(program, trainset=shown, valset=tested)


def _demo(dspy: Any, item: str, **answer: str) -> "dspy.Example":
    return dspy.Example(item=item, **answer).with_inputs("item")


def _program(
    dspy: Any,
    first: Setup,
    items: Mapping[str, Item],
    asked: _Asked,
    ask: Callable[[Setup, Item], AnswerRow],
) -> "dspy.Module":
    class Asking(dspy.Module):  # type: ignore[misc]  # dspy is not typed
        """Our route as DSPy's program: DSPy changes the examples of `predict`, we ask."""

        def __init__(self) -> None:
            super().__init__()
            self.predict = dspy.Predict("item -> answer")

        def forward(self, item: str) -> Any:
            one = items[item]
            if one.split == "train" and not asked.may_train():
                return dspy.Prediction(answer="", score=0.0)
            row = ask(_shown(first, self.predict.demos, items), one)
            found = dspy.Prediction(answer=row.output or "", score=row.score or 0.0)
            if dspy.settings.trace is not None:
                answer = dspy.Prediction(answer=found.answer)
                dspy.settings.trace.append((self.predict, {"item": item}, answer))
            return found

    return Asking()


def _shown(first: Setup, demos: Sequence[Any], items: Mapping[str, Item]) -> Setup:
    if not demos:
        return first
    # DSPy would show the model's own words where they scored; the accepted answer says the same
    # in the skill's form, and can be found again when the route is served.
    chosen = [items[demo.item] for demo in demos]
    examples = tuple(Example(input=item.input, output=item.targets[0]) for item in chosen)
    return Setup(template=first.template, shots=len(examples), pick="chosen", shown=examples)


def _tuned(
    first: Setup, asked: _Asked, *, examples: int, documents: int, dev: int, of: int
) -> Tuned:
    def worth(name: str) -> float:
        rows = asked.rows[name]
        return sum(row.score or 0.0 for row in rows) / len(rows)

    names = sorted(asked.rows, key=lambda name: (-worth(name), asked.setups[name].shots, name))
    setup = asked.setups[names[0]] if names else first
    candidates = tuple(
        Candidate(
            name=name, score=worth(name), answers=len(asked.rows[name]), chosen=name == setup.name
        )
        for name in names
    )
    given = Given(
        examples=examples,
        documents=documents,
        dev_items=dev,
        budget=of,
        spent=asked.total,
        candidates=candidates or (Candidate(name=first.name, score=None, answers=0, chosen=True),),
    )
    return Tuned(
        setup=setup, given=given, rows=tuple(r for rows in asked.rows.values() for r in rows)
    )


class _Others(io.TextIOBase):
    """A stream that drops what one thread writes."""

    def __init__(self, stream: TextIO, silent: int) -> None:
        self._stream, self._silent = stream, silent

    def write(self, text: str) -> int:
        return len(text) if threading.get_ident() == self._silent else self._stream.write(text)

    def flush(self) -> None:
        self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()


@contextmanager
def _silenced() -> Iterator[None]:
    """Drop what this thread prints; every other thread prints as before."""
    me = threading.get_ident()
    with redirect_stdout(_Others(sys.stdout, me)), redirect_stderr(_Others(sys.stderr, me)):
        yield
