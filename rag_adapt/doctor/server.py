"""Checks of a model server: does it answer, what serves it, can it do LoRA.

It asks by GET alone and changes nothing there.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from rag_adapt.core.errors import SettingsError
from rag_adapt.doctor.finding import Observation, Patient, fault, ok, warning
from rag_adapt.doctor.packages import DEFECTS, is_within
from rag_adapt.engines.vllm_server import VllmServer
from rag_adapt.settings import Settings
from rag_adapt.wiring_engines import vllm_address

if TYPE_CHECKING:
    import httpx

PATIENCE: Final = 3.0
"""Seconds for each question."""
START: Final = "rag-adapt vllm --start"
LORA_METRIC: Final = "vllm:lora_requests_info"
"""Exposed by vLLM only where it was started with `--enable-lora`."""
SLOTS: Final = re.compile(LORA_METRIC + r'\{[^}]*max_lora="(\d+)"')
LOADING: Final = "/v1/load_lora_adapter"
"""There only where VLLM_ALLOW_RUNTIME_LORA_UPDATING was set; it takes POST, so GET gives 405."""
NOT_ALLOWED: Final = 405
REFUSED: Final = (401, 403)


@dataclass(frozen=True, kw_only=True)
class _Served:
    models: tuple[str, ...]
    owners: frozenset[str]


def server(patient: Patient) -> Iterator[Observation]:
    """Whether the server of `api_base` answers and serves the model; and, if vLLM, its LoRA."""
    settings = patient.settings
    if settings.engine == "vllm":
        yield from _ours(settings)
    elif settings.engine != "remote":
        yield ok(f"engine {settings.engine!r} asks no server")
    elif settings.api_base is None:
        yield ok(f"{settings.model!r} is a provider's; it is not asked here, for that costs money")
    else:
        key = settings.api_key.get_secret_value() if settings.api_key else None
        yield from _asked(settings.api_base.rstrip("/"), key, settings.model)


def _ours(settings: Settings) -> Iterator[Observation]:
    """The vLLM server whose adapters we own."""
    if (away := VllmServer(settings.home).away()) is not None:
        yield warning(f"vLLM is down on purpose: {away}", remedy="Wait: it is started again.")
        return
    try:
        address = vllm_address(settings)
    except SettingsError as error:
        yield fault(error.fact, remedy=START)
        return
    yield from _asked(address.api_base.rstrip("/"), address.api_key, settings.vllm_served)


def _asked(base: str, key: str | None, model: str) -> Iterator[Observation]:
    import httpx

    headers = {"Authorization": f"Bearer {key}"} if key else {}
    shown = _without_credentials(base)
    with httpx.Client(headers=headers, timeout=PATIENCE, trust_env=False) as client:
        try:
            reply = client.get(f"{base}/models")
        except (httpx.TransportError, httpx.InvalidURL) as exc:
            yield fault(
                f"{shown} does not answer: {exc or type(exc).__name__}",
                remedy=f"Start it: {START}\n"
                "or correct its address: export RAG_ADAPT_API_BASE=http://127.0.0.1:8001/v1",
            )
            return
        served = _served(reply)
        if isinstance(served, Observation):
            yield served
            return
        yield _model(model, served, shown)
        if "vllm" in served.owners:
            yield from _vllm(client, _root(base))
        else:
            yield ok(f"{shown} is no vLLM: adapters are not loaded there")


def _served(reply: "httpx.Response") -> _Served | Observation:
    """What `GET /models` said."""
    shown = _without_credentials(str(reply.url))
    if reply.status_code in REFUSED:
        return fault(
            f"{shown} refuses the key (HTTP {reply.status_code})",
            remedy="export RAG_ADAPT_API_KEY=THE-SERVERS-KEY",
        )
    try:
        rows: list[Any] = reply.json()["data"]
        return _Served(
            models=tuple(str(row["id"]) for row in rows),
            owners=frozenset(str(row.get("owned_by")) for row in rows),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return fault(
            f"{shown} gives no list of models (HTTP {reply.status_code})",
            remedy="An OpenAI-compatible address usually ends in /v1: "
            "export RAG_ADAPT_API_BASE=http://HOST:PORT/v1",
        )


def _model(name: str, served: _Served, shown: str) -> Observation:
    wanted = name.partition("/")[2] or name
    listed = ", ".join(served.models) or "none"
    if wanted in served.models or name in served.models:
        return ok(f"{shown} serves {wanted!r} (models: {listed})")
    provider = "hosted_vllm" if "vllm" in served.owners else "openai"
    example = f"{provider}/{served.models[0] if served.models else 'NAME'}"
    return fault(
        f"{shown} does not serve {wanted!r}; models: {listed}",
        remedy=f"export RAG_ADAPT_MODEL={example}",
    )


def _vllm(client: "httpx.Client", root: str) -> Iterator[Observation]:
    version = _text(client, f"{root}/version")
    number = found[0] if (found := re.findall(r"\d+\.\d+[\w.+]*", version or "")) else None
    known = [each for each in DEFECTS if each.distribution == "vllm"]
    for defect in known:
        if number is not None and is_within(number, defect.versions):
            yield fault(f"it is vLLM {number}: {defect.what}", remedy=defect.remedy)
    yield ok(f"it is vLLM {number or 'of unknown version'}")
    yield from _lora(client, root)


def _lora(client: "httpx.Client", root: str) -> Iterator[Observation]:
    metrics = _text(client, f"{root}/metrics")
    if metrics is None:
        yield warning(
            "it does not show its metrics: whether LoRA is enabled cannot be told",
            remedy="Start it without `--disable-log-stats`.",
        )
    elif LORA_METRIC not in metrics:
        yield warning(
            "LoRA is not enabled there: routes with adapters cannot be served",
            remedy="Start it with `--enable-lora --max-loras 4 --max-lora-rank 16`, as "
            "compose.yaml does.",
        )
    elif not _loads(client, root):
        yield warning(
            "LoRA is enabled, but adapters cannot be loaded while it runs",
            remedy="Start it with VLLM_ALLOW_RUNTIME_LORA_UPDATING=True in its environment, as "
            "compose.yaml does.",
        )
    else:
        slots = SLOTS.search(metrics)
        yield ok(f"LoRA is enabled{f', {slots[1]} slots' if slots else ''}; adapters can be loaded")


def _loads(client: "httpx.Client", root: str) -> bool:
    import httpx

    try:
        return client.get(root + LOADING).status_code == NOT_ALLOWED
    except httpx.TransportError:
        return False


def _text(client: "httpx.Client", url: str) -> str | None:
    import httpx

    try:
        reply = client.get(url)
    except httpx.TransportError:
        return None
    return reply.text if reply.is_success else None


def _root(base: str) -> str:
    """Where vLLM's own paths begin: beside `/v1`."""
    return base.removesuffix("/v1")


def _without_credentials(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:  # no address at all: httpx says why
        return "the model server"
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()
