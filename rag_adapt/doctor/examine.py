"""Runs every check and collects what they say; one that breaks does not stop the others.

It does not know how findings are shown.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from rag_adapt.core.errors import RagAdaptError
from rag_adapt.doctor import body, packages, server, stores, weights
from rag_adapt.doctor.finding import (
    SERVE_PORT,
    Check,
    Finding,
    Observation,
    Patient,
    fault,
    fault_of,
)
from rag_adapt.doctor.machine import look_around
from rag_adapt.settings import Settings

CHECKS: Final[Mapping[str, Check]] = {
    "python": body.python,
    "packages": packages.requirements,
    "known defects": packages.defects,
    "cores": body.cores,
    "memory": body.memory,
    "disk": body.disk,
    "folders": stores.folders,
    "gpu": body.gpu,
    "number format": body.number_format,
    "language model": weights.language_model,
    "embedder": weights.embedder,
    "databases": stores.databases,
    "chroma": stores.chroma,
    "chroma server": packages.chroma_server,
    "collections": stores.collections,
    "adapters": stores.adapters,
    "skills": stores.skills,
    "runs": stores.runs,
    "model server": server.server,
    "port": body.port,
}
"""Every check by its name, in the order in which findings are shown."""


def examine_all(settings: Settings, *, port: int = SERVE_PORT) -> tuple[Finding, ...]:
    """Look at everything that these settings use on this machine; no language model is loaded.

    Args:
        settings: What commands would use.
        port: Where `serve` would listen.
    """
    return examine(Patient(settings=settings, machine=look_around(), port=port))


def examine(patient: Patient, checks: Mapping[str, Check] = CHECKS) -> tuple[Finding, ...]:
    """What the checks say, in their order."""
    return tuple(
        Finding(name=name, state=seen.state, what=seen.what, remedy=seen.remedy)
        for name, check in checks.items()
        for seen in _guarded(name, check, patient)
    )


def is_healthy(findings: tuple[Finding, ...]) -> bool:
    """Whether there is no fault; warnings do not count."""
    return all(finding.state != "fault" for finding in findings)


def _guarded(name: str, check: Check, patient: Patient) -> Iterator[Observation]:
    try:
        yield from check(patient)
    except RagAdaptError as error:
        yield fault_of(error)
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # noqa: BLE001 - a panic in Rust code is no Exception
        yield fault(
            f"the check itself failed: {type(error).__name__}: {error}",
            remedy=f"Look at {name!r} by hand; if nothing is wrong there, report what "
            "`rag-adapt --debug doctor` prints.",
        )
