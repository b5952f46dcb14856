"""The curve's arms: nested examples, adapters of exactly these, asked like any other arm."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from rag_adapt.adapters.card import Card
from rag_adapt.adapters.store import AdapterStore
from rag_adapt.bench.doses import CHANNELS, doses, is_dose, parse_doses
from rag_adapt.bench.experiment import run_experiment
from rag_adapt.bench.figures import GuardFigures, Report, schema
from rag_adapt.bench.outline import outline, questions
from rag_adapt.bench.plan import Plan, choose_examples
from rag_adapt.bench.proof import Proof, declared
from rag_adapt.bench.store import find_run
from rag_adapt.bench.tally import tally
from rag_adapt.bench.tools import Indexed, Tools
from rag_adapt.bench.training import Training
from rag_adapt.cli.app import run
from rag_adapt.core.errors import ContextLengthError, PlanError
from rag_adapt.core.protocols import Progress, Silent
from rag_adapt.core.types import Call
from rag_adapt.engines.scripted import ScriptedAdapters, ScriptedEngine
from rag_adapt.retrieval.embed import HashingEmbedder
from rag_adapt.skills.load import load_skill
from rag_adapt.skills.skill import Skill
from tests.adapters.samples import card
from tests.samples import write_skill

TRAIN, TEST = 12, 8
NEEDED = 4
"""Examples from which the scripted model answers right."""


@dataclass
class School:
    """Trains by declaring an adapter whose hash is the number of its examples and its seed."""

    adapters: ScriptedAdapters = field(default_factory=ScriptedAdapters)
    shown: list[Training] = field(default_factory=list)
    guarded: list[str] = field(default_factory=list)
    unproven: frozenset[int] = frozenset()
    """Sizes whose adapters claim another hash than their own."""

    def train(self, training: Training, progress: Progress) -> Card:
        self.shown.append(training)
        plan = training.as_plan()
        made = f"{plan.name}@{len(plan.rows):011x}{training.seed}"
        self.adapters.declare(made, "0" * 12 if len(plan.rows) in self.unproven else None)
        settings = card().settings.model_copy(update={"seed": training.seed})
        return card(plan.name, version=made, examples=len(plan.rows), settings=settings)

    async def prove(self, version: str) -> Proof:
        return declared(version, self.adapters.hash_of(version))

    async def guard(self, version: str, skill: str) -> tuple[GuardFigures, ...]:
        self.guarded.append(version)
        return ()


def learned(call: Call) -> int:
    """Examples that the model has seen, in its prompt or in training."""
    if call.adapter is not None:
        return int(call.adapter.rpartition("@")[2][:-1], 16)
    return sum(message.role == "assistant" for message in call.messages)


def reply(call: Call) -> str:
    """Right after enough examples."""
    return call.messages[-1].content.split()[-1] if learned(call) >= NEEDED else "Well, maybe."


def skill(folder: Path) -> Skill:
    place = folder / "colours"
    if not place.exists():
        write_skill(place, train=TRAIN, test=TEST, corpus=False)
    return load_skill(place)


def no_index(skill: Skill, plan: Plan, progress: Progress) -> Indexed:
    raise AssertionError("nothing here retrieves")


def measure(
    folder: Path, school: School, engine: ScriptedEngine | None = None, **more: Any
) -> Report:
    """A run of the arm `prompt` with a curve; the record stands in `runs`."""
    plan = Plan(**{"skills": (skill(folder),), "arms": ("prompt",), "latency_items": 1, **more})
    tools = Tools(
        engine=engine or ScriptedEngine(reply, adapters=school.adapters),
        adapters=school.adapters,
        embedder=HashingEmbedder(),
        index=no_index,
        train=school.train,
        prove=school.prove,
        guard=school.guard,
    )
    finished = run_experiment(
        plan,
        tools,
        runs=Path("runs"),
        out=None,
        command="rag-adapt bench colours",
        concurrency=3,
        progress=Silent(),
    )
    return finished.report


@pytest.fixture
def folder(own_folder: Path) -> Path:
    without_charts(own_folder / "cache")
    return own_folder / "skills"


def without_charts(cache: Path) -> None:
    """Put an empty script where the one that draws charts is kept: bundling it takes seconds."""
    cache.mkdir(parents=True)
    (cache / f"charts-{version('vl-convert-python')}.js").touch()


def kept(arm: str) -> list[dict[str, Any]]:
    return [r.model_dump() for r in find_run(Path("runs"), "last").rows() if r.arm == arm]


def test_every_size_is_a_beginning_of_the_runs_own_order(folder: Path) -> None:
    school = School()
    measure(folder, school, arms=("prompt", "lora"), doses=(1, 5))
    order = [one.id for one in choose_examples(skill(folder).training_items, None, 0)]
    whole, one, five = ([item.id for item in t.items] for t in school.shown)
    assert (whole, one, five) == (order, order[:1], order[:5])
    inputs = [item.input for item in school.shown[2].items]
    for row in kept("few-shot@5"):
        turns = row["trace"]["events"][0]["detail"]["shown"]
        assert turns == inputs
    for row in kept("few-shot-nearest@5"):
        turns = row["trace"]["events"][0]["detail"]["shown"]
        assert len(turns) == 4
        assert set(turns) < set(inputs)
    assert {
        len(r["trace"]["events"][0]["detail"]["shown"]) for r in kept("few-shot-nearest@1")
    } == {1}


def test_all_channels_answer_the_same_items_interleaved_with_the_other_arms(folder: Path) -> None:
    report = measure(folder, School(), doses=(1, 5), items=6)
    rows = list(find_run(Path("runs"), "last").rows())
    arms = ["prompt", *(dose.arm for dose in doses((1, 5)))]
    by_arm = {arm: {r.item for r in rows if r.arm == arm} for arm in arms}
    assert set(map(frozenset, by_arm.values())) == {frozenset(by_arm["prompt"])}
    plan = Plan(skills=(skill(folder),), arms=("prompt",), doses=(1, 5), items=6)
    assert len(rows) == len(arms) * 6 == sum(questions(skill(folder), plan).values())
    together = [row.arm for row in rows if not row.alone]
    assert together != sorted(together, key=arms.index)
    scores = {dose.arm: dose.score for dose in report.doses}
    assert scores == {arm: float(arm.endswith("@5")) for arm in arms[1:]}
    assert report.pairs == ()


def test_every_figure_of_the_curve_is_recomputed_from_the_kept_answers(folder: Path) -> None:
    report = measure(folder, School(), doses=(1, 4, 10), repeats=2)
    jsonschema.validate(report.model_dump(mode="json"), schema())
    found = tally(find_run(Path("runs"), "last").rows())
    for dose in report.doses:
        rows = kept(dose.arm)
        means: dict[str, list[float]] = {row["item"]: [] for row in rows}
        for row in rows:
            means[row["item"]].append(row["score"])
        assert dose.n == len(means) == TEST
        assert {len(scores) for scores in means.values()} == {2}
        assert dose.score == sum(sum(s) / len(s) for s in means.values()) / TEST
        again = found["colours", dose.arm].estimate()
        assert again is not None
        assert (dose.ci_low, dose.ci_high) == (again.low, again.high)
        adapters = {r["trace"]["events"][-1]["detail"]["adapter"] for r in rows}
        assert adapters == {dose.adapter}


def test_sizes_above_what_there_is_are_left_out_and_said_so(folder: Path) -> None:
    school = School()
    report = measure(folder, school, doses=(4, 99), examples=10)
    out = [dose for dose in report.doses if dose.examples == 99]
    assert [dose.channel for dose in out] == list(CHANNELS)
    assert {d.reason for d in out} == {"left out: there are 10 training examples"}
    assert [len(training.items) for training in school.shown] == [4]
    assert kept("few-shot@99") == []


def test_an_adapter_that_is_not_proven_is_not_measured_and_the_others_are(folder: Path) -> None:
    report = measure(folder, School(unproven=frozenset({4})), doses=(4, 8))
    found = {dose.arm: dose for dose in report.doses}
    assert found["lora@8"].measured
    assert not found["lora@4"].measured
    assert "not shown to be active" in (found["lora@4"].reason or "")
    assert found["few-shot@4"].measured
    assert kept("lora@4") == []


def test_curve_adapters_have_a_name_of_their_own_and_no_guard(folder: Path) -> None:
    school = School()
    measure(folder, school, doses=(4,), train_seeds=2, arms=("lora",))
    names = [training.as_plan().name for training in school.shown]
    assert names == ["colours", "colours", "dose-colours", "dose-colours"]
    assert [version.partition("@")[0] for version in school.guarded] == ["colours", "colours"]


def test_the_adapter_that_learned_everything_is_also_the_last_dose(folder: Path) -> None:
    school = School()
    report = measure(folder, school, doses=(4, TRAIN), arms=("lora",))
    assert [len(training.items) for training in school.shown] == [TRAIN, 4]
    last = next(dose for dose in report.doses if dose.arm == f"lora@{TRAIN}")
    assert last.adapters == tuple(one.version for one in report.arms[0].adapters)
    plan = Plan(skills=(skill(folder),), arms=("lora",), doses=(4, TRAIN))
    assert outline(plan)[0].trainings == 2


def test_each_training_seed_has_its_own_adapter_per_size(folder: Path) -> None:
    report = measure(folder, School(), doses=(4,), train_seeds=3)
    dose = next(one for one in report.doses if one.channel == "lora")
    assert len(set(dose.adapters)) == 3
    assert {row["train_seed"] for row in kept("lora@4")} == {0, 1, 2}


class Short(ScriptedEngine):
    """Refuses prompts of more than ten turns, as an engine does before it computes."""

    async def _admit(self, call: Call) -> None:
        if len(call.messages) > 10:
            raise ContextLengthError("a prompt of 99 tokens does not fit", hint="Shorten it.")
        await super()._admit(call)


def test_shots_that_do_not_fit_are_not_measured_with_the_reason(folder: Path) -> None:
    school = School()
    report = measure(folder, school, Short(reply, adapters=school.adapters), doses=(4, 10))
    found = {dose.arm: dose for dose in report.doses}
    assert found["few-shot@10"].reason == (
        "not measured: 8 of 8 prompts with 10 examples do not fit into the model's context"
    )
    assert found["few-shot-nearest@10"].measured
    assert found["few-shot@4"].measured
    crossed = next(c for c in report.crossovers if (c.a, c.b) == ("few-shot", "lora"))
    assert [one.examples for one in crossed.differences] == [4]


def test_an_interrupted_curve_goes_on_where_it_stopped(folder: Path) -> None:
    school, asked = School(), 0

    async def stop(call: Call) -> None:
        nonlocal asked
        asked += 1
        if asked > 20:
            raise KeyboardInterrupt

    broken = ScriptedEngine(reply, adapters=school.adapters, gate=stop)
    with pytest.raises(KeyboardInterrupt):
        measure(folder, school, broken, doses=(1, 5))
    before = [row.key for row in find_run(Path("runs"), "last").rows()]
    assert 0 < len(before) <= 20
    engine = ScriptedEngine(reply, adapters=school.adapters)
    report = measure(folder, school, engine, doses=(1, 5))
    keys = [row.key for row in find_run(Path("runs"), "last").rows()]
    assert keys[: len(before)] == before
    assert len(engine.received) == len(keys) - len(before)
    assert len(set(keys)) == len(keys) == 7 * TEST
    assert all(dose.n == TEST for dose in report.doses)


def test_folds_give_every_item_to_every_size(folder: Path) -> None:
    report = measure(folder, School(), doses=(4,), folds=2)
    everything = len(skill(folder).items)
    assert {dose.n for dose in report.doses} == {everything}
    assert len(report.doses[-1].adapters) == 2


def test_the_plan_counts_calls_and_trainings_of_the_sizes_there_are(folder: Path) -> None:
    plan = Plan(
        skills=(skill(folder),), arms=("prompt", "lora"), doses=(1, 5, 99), items=6, train_seeds=2
    )
    [line] = outline(plan)
    assert line.arms[2:] == tuple(dose.arm for dose in doses((1, 5)))
    assert line.answers == 6 * (1 + 2) + 6 * 2 * (1 + 1 + 2)
    assert line.trainings == 2 + 2 * 2
    priced = [{"skill": "colours", "arm": arm, "cost": 0.5} for arm in line.arms[2:]]
    arms = [{"skill": "colours", "arm": a, "cost": {"value": 0.5}} for a in ("prompt", "lora")]
    [told] = outline(plan, [{"arms": arms, "doses": priced}])
    assert told.seconds == pytest.approx(0.5 * line.answers)


def test_two_plans_with_other_sizes_are_two_experiments(folder: Path) -> None:
    plan = Plan(skills=(skill(folder),), arms=("prompt",), doses=(1,))
    print_of = ScriptedEngine().fingerprint
    assert plan.hash(print_of) != replace(plan, doses=(1, 10)).hash(print_of)


@pytest.mark.parametrize(
    ("text", "sizes"), [("", ()), ("1,10,50", (1, 10, 50)), (" 50, 1,50,", (1, 50))]
)
def test_sizes_are_read_in_order_and_once(text: str, sizes: Sequence[int]) -> None:
    assert parse_doses(text) == sizes


@pytest.mark.parametrize("text", ["1,ten", "0", "-3", "1.5", "²"])
def test_what_is_no_number_of_examples_is_refused(text: str) -> None:
    with pytest.raises(PlanError, match="are no numbers of examples") as error:
        parse_doses(text)
    assert "--doses 1,10,50" in error.value.hint


def test_only_the_curves_arms_have_an_at_sign() -> None:
    assert is_dose("few-shot@10")
    assert not is_dose("few-shot")


def test_the_command_prints_the_curve_and_what_it_leaves_out(
    own_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    without_charts(own_folder / ".rag-adapt" / "cache")
    folder = write_skill(own_folder / "colours", corpus=False)
    command = ["bench", str(folder), "--engine", "scripted", "--embedder", "hashing"]
    command += ["--arms", "prompt", "--doses", "1,3,9", "--tune", "0"]
    assert run([*command, "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "colours: doses left out: 9; there are 6 training examples." in printed
    assert "few-shot@3" in printed
    assert run(command) == 0
    printed = capsys.readouterr().out
    assert "dose curve: exploratory" in printed
    assert "lora@1, lora@3: not measured: adapters cannot be trained for" in printed
    assert run(["runs", "show", "last", "--markdown"]) == 0
    written = capsys.readouterr().out
    assert "| 9 | left out | left out | left out | - | - | - |" in written
    assert "- few-shot and lora: no size was measured for both." in written
    assert run([*command, "--doses", "1,x"]) == 2
    assert "'x' are no numbers of examples" in capsys.readouterr().err


def test_real_adapters_of_a_curve_are_proven_and_none_becomes_current(
    own_folder: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    without_charts(own_folder / ".rag-adapt" / "cache")
    folder = write_skill(own_folder / "colours", corpus=False)
    command = ["bench", str(folder), "--model", str(tiny_model), "--embedder", "hashing"]
    command += ["--arms", "prompt", "--doses", "2,6", "--tune", "0", "--latency-items", "0"]
    command += ["--epochs", "3", "--lr", "5e-3", "--no-choice", "--json"]
    assert run(command) == 0
    report = json.loads(capsys.readouterr().out)
    jsonschema.validate(report, schema())
    found = {dose["arm"]: dose for dose in report["doses"]}
    assert {name: one["reason"] for name, one in found.items() if one["reason"]} == {}
    store = AdapterStore(Path(".rag-adapt"))
    assert {one.version: one.examples for one in store.list()} == {
        found[f"lora@{size}"]["adapter"]: size for size in (2, 6)
    }
    assert store.current("colours") is None
    assert found["lora@2"]["adapter"] != found["lora@6"]["adapter"]
