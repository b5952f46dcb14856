"""When a run that recommends an adapter, or examples chosen one by one, still holds."""

import json
from pathlib import Path
from typing import Any

import pytest

from rag_adapt.adapters.card import Card
from rag_adapt.adapters.store import AdapterStore
from rag_adapt.bench.figures import AdapterFigures, ArmReport
from rag_adapt.core.errors import ModelNotFoundError
from rag_adapt.core.types import content_hash
from rag_adapt.engines.scripted import ScriptedEngine
from rag_adapt.serving.service import Service
from tests.serving.parts import HOME, benched, imported, opened, published, service

LATER = "2999-01-01T00:00:00+00:00"


def run_folder() -> Path:
    (report,) = (HOME / "runs").glob("*/report.json")
    return report.parent


def rewrite(run: Path, **changed: Any) -> None:
    """Change the one recommendation of a run."""
    report = json.loads((run / "report.json").read_text())
    arms = changed.pop("arms", [])
    report["recommendations"][0].update(changed)
    report["arms"] += arms
    (run / "report.json").write_text(json.dumps(report))


def asked_as(run: Path, arm: str, spec: dict[str, Any], shown: list[str] | None = None) -> None:
    """Add an answer of another arm to a run."""
    line = json.loads((run / "answers.jsonl").read_text().splitlines()[0])
    line["arm"] = arm
    line["trace"]["route"] = spec
    if shown is not None:
        line["trace"]["events"].insert(0, {"name": "demonstrate", "detail": {"shown": shown}})
    with (run / "answers.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine()


@pytest.fixture
def measured(engine: ScriptedEngine) -> Card:
    """A run whose recommendation is an adapter."""
    imported()
    benched("colours", "--arms", "prompt")
    card, run = published(engine), run_folder()
    template = json.loads((run / "answers.jsonl").read_text().splitlines()[0])["trace"]["route"]
    step = {"step": "adapt", "adapter": card.version, "active": True}
    asked_as(run, "lora", {**template, "name": "lora", "steps": [step]})
    figures = AdapterFigures(version=card.version, examples=3, seconds=1, bytes=9, proven=True)
    arm = ArmReport(skill="colours", arm="lora", control=False, measured=True, adapters=(figures,))
    report = json.loads((run / "report.json").read_text())
    held = {**report["recommendations"][0]["valid_for"], "adapter-0": card.version}
    rewrite(run, route="lora", valid_for=held, arms=[arm.model_dump(mode="json")])
    return card


def refused(one: Service) -> str:
    with pytest.raises(ModelNotFoundError) as caught:
        opened(one, "route:auto/colours")
    return caught.value.fact


def test_the_very_adapter_that_was_measured_is_served(
    engine: ScriptedEngine, measured: Card
) -> None:
    older = published(engine, fill=3.0)
    assert AdapterStore(HOME).current("colours") == older.version
    served = opened(service(engine), "route:auto/colours")
    assert (served.arm, served.adapter) == ("lora", measured.version)


def test_an_adapter_that_is_gone_takes_its_recommendation_with_it(
    engine: ScriptedEngine, measured: Card
) -> None:
    AdapterStore(HOME).remove(measured.version)
    assert f"adapter {measured.version!r} of run" in refused(service(engine))


def test_an_adapter_that_was_trained_since_asks_for_another_run(
    engine: ScriptedEngine, measured: Card
) -> None:
    newer = published(engine, fill=2.0, created=LATER)
    assert f"adapter {newer.version!r} is newer than run" in refused(service(engine))


def test_a_run_that_measured_no_route_recommends_none(
    engine: ScriptedEngine, measured: Card
) -> None:
    rewrite(run_folder(), route=None)
    assert "measured no route" in refused(service(engine))


def test_a_run_without_an_answer_of_the_route_cannot_be_served(
    engine: ScriptedEngine, measured: Card
) -> None:
    rewrite(run_folder(), route="few-shot")
    assert "has no answer of route 'few-shot'" in refused(service(engine))


def test_a_template_that_is_gone_cannot_be_served_as_measured(
    engine: ScriptedEngine, measured: Card
) -> None:
    run = run_folder()
    text = (run / "answers.jsonl").read_text()
    (run / "answers.jsonl").write_text(text.replace('"name": "prompt"', '"name": "prompt-9"'))
    assert "cannot be served as run" in refused(service(engine))


def test_examples_that_an_optimiser_chose_are_found_again_by_the_trace(
    engine: ScriptedEngine,
) -> None:
    imported()
    benched("colours", "--arms", "prompt")
    run = run_folder()
    route = json.loads((run / "answers.jsonl").read_text().splitlines()[0])["trace"]["route"]
    chosen = [["train thing number 3: blue", "blue"], ["train thing number 0: red", "red"]]
    step = {"step": "demonstrate", "k": 2, "pick": "fixed", "pool": content_hash(chosen)}
    (run / "answers.jsonl").write_text((run / "answers.jsonl").read_text().splitlines()[0] + "\n")
    asked_as(run, "prompt", {**route, "steps": [step]}, [text for text, _ in chosen])
    lines = (run / "answers.jsonl").read_text().splitlines()
    (run / "answers.jsonl").write_text(lines[1] + "\n")
    served = opened(service(engine), "route:auto/colours")
    assert served.route.spec()["steps"] == [step]
    assert served.setup == "prompt, 2 fixed examples"


def test_a_folded_run_is_served_without_the_claim_that_it_measured_this_very_route(
    engine: ScriptedEngine,
) -> None:
    imported()
    benched("colours", "--arms", "few-shot", "--folds", "2")
    served = opened(service(engine), "route:auto/colours")
    assert served.arm == "few-shot"
    assert served.origin.run == run_folder().name
