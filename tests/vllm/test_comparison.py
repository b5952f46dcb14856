"""The main job through vLLM: trained here, proven over HTTP, compared, then served."""

import json
import subprocess
import sys
import time

from fastapi.testclient import TestClient

from rag_adapt.api.app import create_app
from rag_adapt.core.protocols import Silent
from rag_adapt.keys.store import KeyStore
from rag_adapt.wiring_service import open_service
from tests.vllm.scene import Ground


def test_routes_are_compared_through_vllm_and_the_adapter_is_served(ground: Ground) -> None:
    home = ground.settings.home
    command = [
        *(sys.executable, "-m", "rag_adapt", "--home", str(home), "bench", "past-tense", "--json"),
        *("--engine", "vllm", "--embedder", "hashing", "--arms", "prompt,lora", "--device", "cpu"),
        *("--items", "6", "--examples", "8", "--tune", "0", "--latency-items", "1"),
        *("--no-guard", "--no-probe"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    arms = {row["arm"]: row for row in report["arms"]}
    assert set(arms) == {"prompt", "lora"}
    assert all(row["n"] == 6 and row["failures"] == 0 for row in arms.values()), arms
    assert arms["lora"]["measured"], arms["lora"]["reason"]  # proven: else it is not measured

    opened = open_service(ground.settings, Silent())
    app = create_app(opened.service, keys=KeyStore(home), on_end=opened.end)
    try:
        with TestClient(app, base_url="http://127.0.0.1") as client:
            reply = client.post(
                "/v1/chat/completions",
                json={
                    "model": "route:lora/past-tense",
                    "messages": [{"role": "user", "content": "walk"}],
                    "max_tokens": 6,
                },
            )
            assert reply.status_code == 200, reply.text
            told = reply.json()["rag_adapt"]
            assert told["adapter"].startswith("past-tense@")
            until = time.monotonic() + 120  # LiteLLM is loaded meanwhile
            while (ready := client.get("/readyz")).status_code != 200:
                assert time.monotonic() < until, ready.text
                time.sleep(0.5)
    finally:
        opened.close()
