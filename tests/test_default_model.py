"""The main job once on the default model: from its package to a proven adapter and a report."""

import json
from pathlib import Path

import pytest

from rag_adapt.cli.app import run
from rag_adapt.core.protocols import Silent
from rag_adapt.models.files import sha256_of
from rag_adapt.models.packages import DEFAULTS, carried_folder


@pytest.mark.model
def test_the_default_model_is_found_converted_trained_proven_and_measured(
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = "bench past-tense --arms prompt,lora,nearest-label --items 3 --examples 8"
    less = "--latency-items 1 --tune 8 --no-guard --no-probe --json"
    assert run([*arguments.split(), *less.split()]) == 0
    report = json.loads(capsys.readouterr().out)
    arms = {arm["arm"]: arm for arm in report["arms"]}
    assert {name: arm["reason"] for name, arm in arms.items()} == dict.fromkeys(arms)
    (adapter,) = arms["lora"]["adapters"]
    assert (adapter["proven"], adapter["examples"]) == (True, 8)
    assert arms["prompt"]["latency_n"] == 1
    assert report["run"]["model"]["model"] == "default"
    folder = carried_folder(DEFAULTS["language"], home=Path(".rag-adapt"), progress=Silent())
    assert folder is not None
    assert sha256_of(folder / "model.safetensors") == DEFAULTS["language"].weights
