"""A healthy machine, of which tests change one thing at a time."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from rag_adapt.doctor.finding import Check, Observation, Patient
from rag_adapt.doctor.machine import Machine, TorchBuild
from rag_adapt.settings import Settings

MACHINE = Machine(
    python=(3, 11, 7),
    installed={"torch": "2.13.0+cpu", "chromadb": "1.5.9", "litellm": "1.106.2"},
    requirements=("torch>=2.13", "litellm>=1.83.10,!=1.82.7", 'vllm>=0.33; extra == "gpu"'),
    cores=2.0,
    memory=8_000_000_000,
    processor=frozenset({"fpu", "avx512_bf16"}),
    torch=TorchBuild(version="2.13.0+cpu", cuda=None),
    gpus=(),
    driver=None,
    free_disk=lambda _: 50_000_000_000,
)
CUDA = TorchBuild(version="2.13.0", cuda="13.0")


def patient(
    *,
    home: Path = Path("home"),
    machine: dict[str, Any] | None = None,
    port: int = 0,
    **settings: Any,
) -> Patient:
    """Whom to look at; the scripted engine and the hashing embedder unless told otherwise."""
    chosen: dict[str, Any] = {"engine": "scripted", "embedder": "hashing", "home": home} | settings
    return Patient(
        settings=Settings(**chosen), machine=replace(MACHINE, **(machine or {})), port=port
    )


def seen(check: Check, who: Patient) -> list[Observation]:
    """What a check says."""
    return list(check(who))


def only(check: Check, who: Patient) -> Observation:
    """The one thing that a check says."""
    (one,) = check(who)
    return one


def worst(check: Check, who: Patient) -> Observation:
    """The gravest thing that a check says."""
    order = ("fault", "warning", "ok")
    return min(check(who), key=lambda each: order.index(each.state))
