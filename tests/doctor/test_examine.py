"""All checks together."""

from collections.abc import Iterator

import pytest

from rag_adapt.core.errors import StorageError
from rag_adapt.doctor.examine import CHECKS, examine, examine_all, is_healthy
from rag_adapt.doctor.finding import Observation, Patient, ok, warning
from rag_adapt.settings import Settings
from tests.doctor.parts import patient


class RustPanic(BaseException):
    """As pyo3's, which is no Exception."""


def fine(patient: Patient) -> Iterator[Observation]:
    yield ok("fine")


def torn(patient: Patient) -> Iterator[Observation]:
    yield warning("half", remedy="mend it")
    raise OSError("the wire broke")


def ours(patient: Patient) -> Iterator[Observation]:
    raise StorageError("the disk is full", hint="Free some space.")


def panic(patient: Patient) -> Iterator[Observation]:
    raise RustPanic("index out of bounds")


def test_a_check_that_breaks_is_its_own_fault_and_stops_no_other() -> None:
    checks = {"torn": torn, "ours": ours, "panic": panic, "fine": fine}
    found = examine(patient(), checks)
    assert [(each.name, each.state) for each in found] == [
        ("torn", "warning"),
        ("torn", "fault"),
        ("ours", "fault"),
        ("panic", "fault"),
        ("fine", "ok"),
    ]
    assert "OSError: the wire broke" in found[1].what
    assert (found[2].what, found[2].remedy) == ("the disk is full", "Free some space.")
    assert "RustPanic" in found[3].what


def test_an_interrupt_is_no_finding() -> None:
    def stopped(patient: Patient) -> Iterator[Observation]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        examine(patient(), {"stopped": stopped})


def test_warnings_are_healthy_and_faults_are_not() -> None:
    assert is_healthy(examine(patient(), {"fine": fine}))
    assert not is_healthy(examine(patient(), {"ours": ours}))


def test_every_check_speaks_and_every_complaint_has_a_remedy() -> None:
    settings = Settings(engine="scripted", embedder="hashing")
    found = examine_all(settings, port=0)
    assert {each.name for each in found} == set(CHECKS)
    assert [each for each in found if each.state != "ok" and not each.remedy] == []
    assert [each for each in found if "the check itself failed" in each.what] == []
