"""What the operating system says about itself."""

from pathlib import Path

import pytest

from rag_adapt.doctor.machine import (
    cores,
    driver_version,
    gpu_models,
    look_around,
    plain_name,
    processor_flags,
    torch_build,
)


def test_this_machine_can_be_looked_at() -> None:
    found = look_around()
    assert found.python >= (3, 11, 0)
    assert found.cores > 0
    assert found.installed["langchain-core"]
    assert found.torch is not None
    assert found.torch.version.startswith("2.")
    assert found.requirements
    assert found.free_disk(Path.cwd()) > 0


def test_a_containers_quota_counts_before_the_machines_cores(tmp_path: Path) -> None:
    quota = tmp_path / "cpu.max"
    quota.write_text("50000 100000\n")
    assert cores(quota) == 0.5
    quota.write_text("max 100000\n")
    assert cores(quota) >= 1
    assert cores(tmp_path / "absent") >= 1


@pytest.mark.parametrize("word", ["flags\t\t", "Features\t"])
def test_the_processors_capabilities_are_read(tmp_path: Path, word: str) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(f"processor\t: 0\n{word}: fpu bf16 amx_bf16\n")
    assert processor_flags(file) == {"fpu", "bf16", "amx_bf16"}
    assert processor_flags(tmp_path / "absent") == frozenset()


def test_a_torch_build_is_known_without_importing_it(tmp_path: Path) -> None:
    file = tmp_path / "version.py"
    file.write_text("__version__ = '2.13.0+cu130'\ncuda: str | None = '13.0'\n")
    found = torch_build(file)
    assert found is not None
    assert (found.version, found.cuda) == ("2.13.0+cu130", "13.0")
    assert torch_build(tmp_path / "absent.py") is None


def test_the_gpus_of_a_driver_are_listed(tmp_path: Path) -> None:
    for number, text in enumerate(("Model: \t\t NVIDIA H200\nIRQ: 1\n", "IRQ: 2\n")):
        folder = tmp_path / "gpus" / f"0000:0{number}:00.0"
        folder.mkdir(parents=True)
        (folder / "information").write_text(text)
    assert gpu_models(tmp_path) == ("NVIDIA H200", "NVIDIA GPU")
    assert gpu_models(tmp_path / "absent") == ()


@pytest.mark.parametrize(
    ("text", "major"),
    [
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar 5\nGCC\n", 550),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release\n", 580),
        ("something else\n", None),
    ],
)
def test_the_drivers_version_is_read(tmp_path: Path, text: str, major: int | None) -> None:
    (tmp_path / "version").write_text(text)
    assert driver_version(tmp_path) == major
    assert driver_version(tmp_path / "absent") is None


def test_a_distribution_has_one_spelling() -> None:
    assert plain_name("Jaraco.Text_x") == "jaraco-text-x"
