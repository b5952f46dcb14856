"""The service on a model in this process, with an adapter that was really trained."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from rag_adapt.adapters.store import AdapterStore
from rag_adapt.cli.app import run
from rag_adapt.core.protocols import Silent
from rag_adapt.settings import load_settings
from rag_adapt.wiring_service import open_service
from tests.api.parts import chat, client_of
from tests.serving.parts import HOME, imported


@pytest.fixture
def client(own_folder: Path, tiny_model: Path) -> Iterator[TestClient]:
    imported(corpus=False)
    training = ["--epochs", "8", "--lr", "5e-3", "--batch-size", "1", "--no-memory-check"]
    base = ["--home", str(HOME), "adapters", "train", "colours", "--model", str(tiny_model)]
    assert run([*base, *training]) == 0
    settings = load_settings(home=HOME, model=str(tiny_model), embedder="hashing", device="cpu")
    opened = open_service(settings, Silent())
    with client_of(opened.service, on_end=opened.end) as made:
        yield made
    opened.close()


def test_a_trained_adapter_is_proven_and_answers_and_the_plain_model_beside_it(
    client: TestClient,
) -> None:
    version = AdapterStore(HOME).find("colours")
    models = [model["id"] for model in client.get("/v1/models").json()["data"]]
    assert "route:lora/colours" in models
    question = [{"role": "user", "content": "test thing number 1: blue"}]
    asked = {"model": "route:lora/colours", "messages": question, "logprobs": True}
    response = chat(client, **asked)
    assert response.status_code == 200, response.text
    answer = response.json()
    assert response.headers["X-Adapter"] == version
    assert answer["rag_adapt"]["adapter"] == version
    scores = answer["choices"][0]["logprobs"]["content"]
    assert "".join(score["token"] for score in scores) == answer["choices"][0]["message"]["content"]
    assert all(score["logprob"] <= 0 and math.isfinite(score["logprob"]) for score in scores)
    trace = client.get(f"/v1/traces/{answer['rag_adapt']['trace_id']}").json()
    sent = trace["answers"][0]["trace"]["events"][-1]["detail"]
    assert (sent["adapter"], sent["call"]["adapter"]) == (version, version)
    assert len(sent["token_ids"]) == answer["usage"]["prompt_tokens"]
    base = chat(client, model=models[0], messages=question, max_tokens=6).json()
    assert base["rag_adapt"]["adapter"] is None
    assert client.get("/readyz").json()["ready"] is True
    assert client.post(f"/v1/adapters/{version}/unload").status_code == 200
    assert chat(client, **asked).status_code == 200
    counted = client.get("/metrics").text
    swaps = f'adapter_swaps_total{{adapter="{version}",kind='
    assert f'{swaps}"load",outcome="done"}} 2.0' in counted
    assert f'{swaps}"unload",outcome="done"}} 1.0' in counted
