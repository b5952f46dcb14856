"""A training's curve, read from what its job has reported."""

import json
from pathlib import Path

import pytest

from rag_adapt.adapters.said import StepFigures, note_of
from rag_adapt.adapters.store import AdapterStore
from rag_adapt.api import adapters, training
from rag_adapt.api.desk import Desk
from rag_adapt.cli.app import run
from rag_adapt.jobs.job import log_path
from rag_adapt.schemas.adapters import TrainingProgress, TrainingStep, TrainRequest
from tests.api.parts import client_of
from tests.api.test_adapters import LOCAL
from tests.api.working import idle_desk
from tests.serving.parts import HOME, imported


def line(step: int, loss: float | None, bits: float | None) -> str:
    note = note_of(StepFigures(loss=loss, bits=bits))
    return json.dumps({"stage": "train", "done": step, "total": 40, "note": note})


def curve(desk: Desk, lines: list[str]) -> TrainingProgress:
    job = desk.jobs.submit(["adapters", "train"])
    log = log_path(desk.jobs.folder, job.id)
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("\n".join(lines))
    response = client_of(desk=desk).get(f"/v1/jobs/{job.id}/training")
    found = TrainingProgress.model_validate(response.json())
    assert found.job == job.id
    return found


def test_the_curve_is_what_the_job_has_said_so_far() -> None:
    said = [
        '{"stage": "embedding", "done": 3, "total": 3, "note": ""}',
        line(0, None, 4.2),
        "train: a word of somebody else",
        line(1, 3.1, 4.2),
        line(2, 2.5, 1.25),
        line(1, 3.1, 4.2),  # it was interrupted and goes on
        line(3, 2.0, 1.25),
        '{"stage": "train", "done": "4", "total": 40}',
        line(4, 1.5, 1.0)[:-5],  # still being written
    ]
    found = curve(idle_desk(), said)
    assert found.steps == 40
    assert [(one.step, one.loss, one.bits) for one in found.data] == [
        (0, None, 4.2),
        (1, 3.1, None),
        (2, 2.5, 1.25),
        (3, 2.0, None),
    ]


def test_a_job_that_said_nothing_has_an_empty_curve_and_a_ghost_none() -> None:
    desk = idle_desk()
    assert curve(desk, []).data == []
    job = desk.jobs.submit(["bench"])
    client = client_of(desk=desk)
    empty = client.get(f"/v1/jobs/{job.id}/training").json()
    assert (empty["steps"], empty["data"]) == (0, [])
    assert client.get(f"/v1/jobs/{'0' * 32}/training").status_code == 404


def test_of_a_long_training_evenly_chosen_steps_are_shown_and_every_measurement() -> None:
    points = [TrainingStep(step=n, loss=1.0, bits=2.0 if n == 501 else None) for n in range(10_000)]
    found = training.thinned(points, most=5)
    assert [one.step for one in found] == [0, 501, 2500, 5000, 7499, 9999]


def test_a_real_training_reports_the_losses_of_its_card(
    tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    imported()
    settings = LOCAL.model_copy(update={"model": str(tiny_model), "device": "cpu"})
    command = adapters.command_of(TrainRequest(skill="colours", examples=2), settings)
    assert run(["--progress-json", "--home", str(HOME), *command]) == 0
    (card,) = AdapterStore(HOME).list()
    log = Path("job.log")
    log.write_text(capsys.readouterr().err)
    found = training.read("x", log)
    assert found.steps == len(card.loss_curve)
    losses = {one.step: one.loss for one in found.data if one.loss is not None}
    assert losses[found.steps] == pytest.approx(card.loss_curve[-1].loss, abs=1e-3)
    measured = [one.bits for one in found.data if one.bits is not None]
    assert measured[0] == pytest.approx(card.dev_bits_before, abs=1e-2)


def test_the_example_is_valid() -> None:
    assert TrainingProgress.model_validate(training.PROGRESS)
