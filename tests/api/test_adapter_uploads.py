"""`POST /v1/adapters/upload`: checked at once, imported by a job; hostile ones are contained."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from rag_adapt.adapters.check import CONFIG_FILE, WEIGHTS_FILE
from rag_adapt.adapters.incoming import KEPT
from rag_adapt.adapters.store import AdapterStore
from rag_adapt.api.adapter_uploads import UPLOAD, AdapterForm
from rag_adapt.api.desk import Desk
from rag_adapt.cli.app import run
from rag_adapt.jobs.job import output_path
from rag_adapt.settings import Settings
from tests.adapters import hostile
from tests.adapters.hostile import tarred, zipped
from tests.api.parts import client_of
from tests.api.working import ended, working
from tests.jobs.running import STAND_IN
from tests.serving.parts import HOME, imported

UPLOADED = {"X-Rag-Adapt": "1"}


@pytest.fixture(scope="module")
def lora(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The two files of a random adapter for the tiny model, as PEFT writes them."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    config = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    folder = tmp_path_factory.mktemp("lora")
    get_peft_model(model, config).save_pretrained(folder)
    return {name: (folder / name).read_bytes() for name in (CONFIG_FILE, WEIGHTS_FILE)}


@pytest.fixture
def settings(tiny_model: Path) -> Settings:
    """A service on the embedded engine."""
    return Settings(home=HOME, embedder="hashing", model=str(tiny_model), device="cpu")


@pytest.fixture
def desk(settings: Settings) -> Desk:
    """Jobs wait: the stand-in takes their place."""
    imported()
    return Desk.of(settings, program=STAND_IN)


@pytest.fixture
def client(desk: Desk) -> TestClient:
    return client_of(desk=desk)


def sent(client: TestClient, files: dict[str, bytes], key: str | None = None, **more: str) -> Any:
    parts = [("files", (name, data)) for name, data in files.items()]
    data = {"name": "hues", "skill": "colours", **more}
    headers = UPLOADED if key is None else {**UPLOADED, "Idempotency-Key": key}
    return client.post("/v1/adapters/upload", data=data, files=parts, headers=headers)


def waiting() -> list[str]:
    """What lies among the uploads."""
    folder = HOME / "adapters" / ".incoming"
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def test_an_upload_is_checked_and_handed_to_a_job(
    client: TestClient, lora: dict[str, bytes], tiny_model: Path
) -> None:
    response = sent(client, lora)
    job = response.json()
    assert response.status_code == 202
    assert response.headers["Location"] == f"/v1/jobs/{job['id']}"
    (digits,) = waiting()
    wanted = ["--device=cpu", "--name=hues", "--skill=colours", f"--upload={digits}"]
    assert job["command"] == ["adapters", "import", "--json", f"--model={tiny_model}", *wanted]
    assert str(HOME) not in str(job["command"])
    assert AdapterStore(HOME).list() == ()


@pytest.mark.parametrize("pack", [zipped, tarred], ids=["zip", "tar"])
def test_an_archive_does_as_well(client: TestClient, lora: dict[str, bytes], pack: Any) -> None:
    assert sent(client, {"../../any name": pack(lora)}, context="true").status_code == 202
    assert "--context" in client.get("/v1/jobs").json()["data"][0]["command"]


def test_one_key_makes_one_job_of_the_same_upload(
    client: TestClient, lora: dict[str, bytes]
) -> None:
    first, second = (sent(client, lora, key="once").json()["id"] for _ in range(2))
    assert first == second
    assert sent(client, lora, key="once", name="other").status_code == 409
    assert len(waiting()) == 1


def test_the_command_imports_it_and_its_result_is_the_path_of_the_adapter(
    client: TestClient, lora: dict[str, bytes], desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    job = sent(client, lora).json()
    assert run(["--home", str(HOME), *job["command"]]) == 0
    (card,) = AdapterStore(HOME).list()
    said = capsys.readouterr().out
    with working(desk) as client:
        ended(client, job["id"])
        output_path(desk.jobs.folder, job["id"]).write_text(said)
        shown = client.get(f"/v1/jobs/{job['id']}").json()
        assert shown["result"] == f"/v1/adapters/{card.version}"
        found = client.get(shown["result"]).json()
        assert (found["imported"]["claimed_peft"] is not None, found["examples"]) == (True, None)
        (listed,) = client.get("/v1/adapters").json()["data"]
        assert (listed["current"], listed["rank"], listed["examples"]) == (True, 4, None)
    assert (
        run(
            [
                "--home",
                str(HOME),
                "adapters",
                "prove",
                f"--model={desk.settings.model}",
                card.version,
            ]
        )
        == 0
    )


HOSTILE = {
    "traversal": lambda p: zipped({**p, "../../evil": b"x"}),
    "absolute": lambda p: tarred({"/tmp/rag-adapt-evil": b"x", **p}),
    "link": lambda p: hostile.zip_link("card.json", "/etc/passwd", p),
    "zip bomb": hostile.zip_bomb,
    "gzip bomb": lambda p: hostile.gzip_bomb(),
    "header bomb": lambda p: hostile.pax_bomb(),
    "many": lambda p: hostile.many_members(100_000, "zip"),
    "pickle": lambda p: zipped({**p, "adapter_model.bin": b"\x80\x04"}),
    "half": lambda p: zipped(p)[:-30],
    "DoRA": lambda p: zipped({**p, CONFIG_FILE: hostile.configured(use_dora=True)}),
    "huge rank": lambda p: zipped({**p, CONFIG_FILE: hostile.configured(r=10**6)}),
    "deep": lambda p: zipped({**p, CONFIG_FILE: b"[" * 60_000}),
    "huge header": lambda p: zipped({**p, WEIGHTS_FILE: b"\xff" * 8 + b"{}"}),
    "wrong offsets": lambda p: zipped({**p, WEIGHTS_FILE: p[WEIGHTS_FILE][:-4]}),
    "text": lambda p: b"<html><script>alert(1)</script>",
    "entities": lambda p: b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>',
}


@pytest.mark.parametrize("pack", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_upload_is_a_problem_and_nothing_of_it_stays(
    client: TestClient, lora: dict[str, bytes], own_folder: Path, pack: Any
) -> None:
    before = {path.name for path in own_folder.iterdir()}
    response = sent(client, {"adapter.zip": pack(lora)})
    problem = response.json()
    assert (response.status_code, problem["code"]) == (422, "adapter-unfit")
    assert problem["hint"]
    assert "/" not in problem["detail"].replace("'../../evil'", "").replace(
        "'/tmp/rag-adapt-evil'", ""
    )
    assert waiting() == []
    assert client.get("/v1/jobs").json()["data"] == []
    assert {path.name for path in own_folder.iterdir()} == before
    assert client.get("/healthz").status_code == 200


def test_two_files_must_be_the_two(client: TestClient, lora: dict[str, bytes]) -> None:
    renamed = {f"x-{name}": data for name, data in lora.items()}
    assert sent(client, renamed).json()["code"] == "adapter-unfit"
    weights_alone = {WEIGHTS_FILE: lora[WEIGHTS_FILE]}
    assert sent(client, weights_alone).json()["code"] == "adapter-unfit"
    mixed = {CONFIG_FILE: lora[CONFIG_FILE], "adapter_model.bin": lora[WEIGHTS_FILE]}
    assert sent(client, mixed).json()["code"] == "adapter-unfit"


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"skill": "ghost"}, 404),
        ({"skill": "../colours"}, 400),
        ({"name": "../hues"}, 400),
        ({"name": "H"}, 400),
        ({"path": "/etc"}, 400),
        ({"context": "perhaps"}, 400),
    ],
    ids=str,
)
def test_names_and_fields_are_checked_first(
    client: TestClient, lora: dict[str, bytes], fields: dict[str, str], status: int
) -> None:
    assert sent(client, lora, **fields).status_code == status
    assert waiting() == []


def test_too_many_files_and_none_are_refused(client: TestClient, lora: dict[str, bytes]) -> None:
    assert sent(client, {**lora, "more": b""}).status_code == 400
    assert sent(client, {}).status_code in (400, 415)


def test_an_engine_without_weights_of_ours_imports_none(lora: dict[str, bytes]) -> None:
    imported()
    problem = sent(client_of(), lora).json()
    assert (problem["status"], problem["code"]) == (400, "adapter")
    assert "scripted" in problem["detail"]


def test_a_page_cannot_upload_and_a_body_must_be_an_upload(
    client: TestClient, lora: dict[str, bytes]
) -> None:
    parts = [("files", (name, data)) for name, data in lora.items()]
    data = {"name": "hues", "skill": "colours"}
    unmarked = client.post("/v1/adapters/upload", data=data, files=parts)
    assert (unmarked.status_code, unmarked.json()["code"]) == (403, "upload-header-missing")
    for kind in ("application/zip", "application/x-www-form-urlencoded", "text/plain"):
        headers = {**UPLOADED, "Content-Type": kind}
        bare = client.post("/v1/adapters/upload", content=zipped(lora), headers=headers)
        assert (bare.status_code, bare.json()["code"]) == (415, "unsupported-media-type")


@pytest.mark.filterwarnings(  # the framework leaves half a file to the garbage collector
    "ignore::pytest.PytestUnraisableExceptionWarning"
)
@pytest.mark.parametrize("keep", [0.3, 0.7, 0.98])
def test_a_truncated_body_is_a_problem(
    client: TestClient, lora: dict[str, bytes], keep: float
) -> None:
    parts = [("files", (name, data)) for name, data in lora.items()]
    data = {"name": "hues", "skill": "colours"}
    whole = client.build_request("POST", "/v1/adapters/upload", data=data, files=parts)
    body = whole.read()
    headers = {**UPLOADED, "Content-Type": whole.headers["content-type"]}
    cut = body[: int(len(body) * keep)]
    response = client.post("/v1/adapters/upload", content=cut, headers=headers)
    assert response.status_code in (400, 422)
    assert waiting() == []


def test_a_body_of_very_many_parts_is_refused(client: TestClient) -> None:
    boundary = "b"
    part = f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="x"\r\n\r\n\r\n'
    headers = {**UPLOADED, "Content-Type": f"multipart/form-data; boundary={boundary}"}
    body = (part * 100_000 + f"--{boundary}--\r\n").encode()
    response = client.post("/v1/adapters/upload", content=body, headers=headers)
    assert response.status_code == 400


def test_uploads_do_not_pile_up(client: TestClient, lora: dict[str, bytes], desk: Desk) -> None:
    for number in range(KEPT + 3):
        config = lora[CONFIG_FILE].replace(
            b'"lora_alpha": 8', f'"lora_alpha": {number + 1}'.encode()
        )
        assert sent(client, {**lora, CONFIG_FILE: config}).status_code == 202
    assert len(waiting()) == KEPT + 3  # jobs wait for all of them
    for job in desk.jobs.list("queued"):
        desk.jobs.ask_to_cancel(job.id)
    sent(client, lora)
    assert len(waiting()) <= KEPT + 1


def test_an_upload_whose_job_comes_too_late_says_what_to_do(
    client: TestClient, lora: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    job = sent(client, lora).json()
    shutil.rmtree(HOME / "adapters" / ".incoming")
    assert run(["--home", str(HOME), *job["command"]]) == 2
    assert "POST /v1/adapters/upload" in capsys.readouterr().err


def test_the_example_names_fields_that_there_are() -> None:
    assert set(UPLOAD) <= set(AdapterForm.model_fields)
