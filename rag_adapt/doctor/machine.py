"""The facts of the machine that checks look at: gathered once, without loading any library.

It does not judge them.
"""

import os
import runpy
import shutil
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distributions, requires
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from rag_adapt.adapters.memory import available_memory

DISTRIBUTION: Final = "rag-adapt"
NVIDIA: Final = Path("/proc/driver/nvidia")
PROCESSOR: Final = Path("/proc/cpuinfo")
QUOTA: Final = Path("/sys/fs/cgroup/cpu.max")


@dataclass(frozen=True, kw_only=True)
class TorchBuild:
    """What the installed torch was built for."""

    version: str
    cuda: str | None
    """Version of CUDA, such as `13.0`; None in a CPU build."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What there is, as the operating system and the package metadata tell it."""

    python: tuple[int, int, int]
    installed: Mapping[str, str]
    """Version by distribution, names in lower case with hyphens."""
    requirements: tuple[str, ...] | None
    """Of this project, as its metadata lists them; None where it is not installed."""
    cores: float
    """That this process may use, a container's quota included."""
    memory: int | None
    """Bytes that new work can have; None where the system does not say."""
    processor: frozenset[str]
    """Capabilities of the processor as the kernel names them."""
    torch: TorchBuild | None
    gpus: tuple[str, ...]
    """Models of NVIDIA GPUs that the driver shows."""
    driver: int | None
    """Major version of the NVIDIA driver."""
    free_disk: Callable[[Path], int]
    """Bytes that can still be written to the file system of a folder that exists."""


def look_around() -> Machine:
    """This machine."""
    return Machine(
        python=sys.version_info[:3],
        installed=_installed(),
        requirements=_requirements(),
        cores=cores(),
        memory=available_memory("cpu"),
        processor=processor_flags(PROCESSOR),
        torch=_torch_build(),
        gpus=gpu_models(NVIDIA),
        driver=driver_version(NVIDIA),
        free_disk=lambda folder: shutil.disk_usage(folder).free,
    )


def _installed() -> dict[str, str]:
    known: dict[str, str] = {}
    for each in distributions():
        if each.name:  # a folder that pip left behind half removed has none
            known.setdefault(plain_name(each.name), each.version)
    return known


def plain_name(distribution: str) -> str:
    """A distribution's name in the one spelling that `Machine.installed` uses."""
    return distribution.lower().replace("_", "-").replace(".", "-")


def _requirements() -> tuple[str, ...] | None:
    try:
        return tuple(requires(DISTRIBUTION) or ())
    except PackageNotFoundError:
        return None


def cores(quota: Path = QUOTA) -> float:
    """Processors that this process may use.

    Args:
        quota: Where Linux says how much of them this container gets.
    """
    allowed = getattr(os, "sched_getaffinity", None)  # Linux alone has it
    there = float(len(allowed(0)) if allowed else os.cpu_count() or 1)
    with suppress(OSError, ValueError):  # no such file, or "max": no limit
        share, period = quota.read_text().split()
        return min(there, int(share) / int(period))
    return there


def processor_flags(file: Path) -> frozenset[str]:
    """The capabilities in the kernel's description of the processor; empty without one."""
    with suppress(OSError):
        for line in file.read_text().splitlines():
            if line.startswith(("flags", "Features")):
                return frozenset(line.partition(":")[2].split())
    return frozenset()


def _torch_build() -> TorchBuild | None:
    """Read from torch's version file: importing torch takes seconds."""
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    return torch_build(Path(spec.origin).parent / "version.py")


def torch_build(file: Path) -> TorchBuild | None:
    """What a torch's version file says; None where there is none."""
    if not file.is_file():
        return None
    said = runpy.run_path(str(file))
    return TorchBuild(version=str(said.get("__version__")), cuda=said.get("cuda"))


def gpu_models(driver: Path) -> tuple[str, ...]:
    """Models of the GPUs that an NVIDIA driver shows."""
    found = []
    for file in sorted(driver.glob("gpus/*/information")):
        lines = [line for line in file.read_text().splitlines() if line.startswith("Model:")]
        found.append(lines[0].partition(":")[2].strip() if lines else "NVIDIA GPU")
    return tuple(found)


def driver_version(driver: Path) -> int | None:
    """Major version of the NVIDIA driver; None where there is none or it does not say."""
    with suppress(OSError):
        words = (driver / "version").read_text().split()
        numbers = (word.split(".")[0] for word in words if word.count(".") >= 1)
        return next((int(number) for number in numbers if number.isdigit()), None)
    return None
