"""Checks of the machine: Python, processor, memory, disk, GPU, number format, port.

It does not know models or what the home folder holds.
"""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rag_adapt.doctor.finding import Observation, Patient, fault, ok, warning

OLDEST_PYTHON: Final = (3, 11)
FEW_CORES: Final = 2
LITTLE_MEMORY: Final = 4_000_000_000
"""Bytes; the default models, training included, peak below this."""
NO_MEMORY: Final = 1_000_000_000
"""Bytes below which the default language model cannot be loaded."""
LITTLE_DISK: Final = 5_000_000_000
NO_DISK: Final = 500_000_000
"""Bytes; the default language model alone is converted into 270 MB."""
OLDEST_DRIVERS: Final = {12: 525, 13: 580}
"""Major version of CUDA: the NVIDIA driver that it needs at least."""
BFLOAT16: Final = frozenset({"amx_bf16", "avx512_bf16", "bf16"})
GPU_BUILD: Final = "make install TORCH_BUILD=cuda"


def python(patient: Patient) -> Iterator[Observation]:
    """The interpreter's version."""
    version = ".".join(map(str, patient.machine.python))
    if patient.machine.python[:2] < OLDEST_PYTHON:
        yield fault(
            f"Python {version}; 3.11 or newer is needed",
            remedy="make clean && make install PYTHON=python3.11",
        )
        return
    yield ok(f"Python {version}")


def cores(patient: Patient) -> Iterator[Observation]:
    """How many processors there are to compute with."""
    count = patient.machine.cores
    if count < FEW_CORES:
        yield warning(
            f"{count:g} core(s): everything takes longer than the documents say",
            remedy="Give the container or the machine two cores or more "
            "(`docker update --cpus 2 CONTAINER`).",
        )
        return
    yield ok(f"{count:g} cores")


def memory(patient: Patient) -> Iterator[Observation]:
    """How much memory new work can have."""
    free = patient.machine.memory
    if free is None:
        yield warning(
            "this system does not say how much memory is free", remedy="Look for 5 GB yourself."
        )
        return
    said = f"{free / 1e9:.1f} GB of memory are free"
    here = patient.settings.engine == "embedded"
    if here and free < NO_MEMORY:
        yield fault(
            f"{said}; the default language model does not fit",
            remedy="End other programs (`ps aux --sort=-rss | head`), or let a server compute: "
            "`rag-adapt serve --engine remote --api-base URL`.",
        )
    elif here and free < LITTLE_MEMORY:
        yield warning(
            f"{said}; training the default model may take 4 GB",
            remedy="End other programs (`ps aux --sort=-rss | head`).",
        )
    else:
        yield ok(said)


def disk(patient: Patient) -> Iterator[Observation]:
    """How much can be written under the home and the collections."""
    for what, folder in places(patient):
        there = existing(folder)
        free = patient.machine.free_disk(there)
        said = f"{what} {str(folder)!r}: {free / 1e9:.1f} GB free"
        remedy = (
            "Free some space (`rag-adapt runs list`, `rag-adapt adapters list`), or choose "
            f"another folder: `export RAG_ADAPT_{what.upper()}=/elsewhere`."
        )
        if free < NO_DISK:
            yield fault(said, remedy=remedy)
        elif free < LITTLE_DISK:
            yield warning(said, remedy=remedy)
        else:
            yield ok(said)


def places(patient: Patient) -> tuple[tuple[str, Path], ...]:
    """The folders that we write to, each with the name of its setting."""
    settings = patient.settings
    return (("home", settings.home), ("indexes", settings.indexes))


def existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    whole = folder.absolute()
    return next(each for each in (whole, *whole.parents) if each.exists())


def gpu(patient: Patient) -> Iterator[Observation]:
    """Whether torch can use the GPU that is there, and whether one is there that is asked for."""
    machine, wished = patient.machine, patient.settings.device
    if machine.torch is None:
        yield fault("torch is not installed", remedy="make install")
        return
    build = f"CUDA {machine.torch.cuda}" if machine.torch.cuda else "CPU"
    said = f"torch {machine.torch.version} ({build} build)"
    if not machine.gpus:
        if wished == "cuda":
            yield fault(
                f"device 'cuda' is set, and no NVIDIA driver shows a GPU; {said}",
                remedy="`export RAG_ADAPT_DEVICE=cpu`, or install the driver and look again with "
                "`nvidia-smi`.",
            )
            return
        yield ok(f"no GPU; {said}")
        return
    yield from _gpu_there(patient, said)


def _gpu_there(patient: Patient, said: str) -> Iterator[Observation]:
    machine, wished = patient.machine, patient.settings.device
    there = ", ".join(machine.gpus)
    if wished == "cpu":
        yield ok(f"{there}, unused: device is 'cpu'; {said}")
        return
    cuda = machine.torch.cuda if machine.torch else None
    if cuda is None:
        judge = fault if wished == "cuda" else warning
        yield judge(f"{there} is there, but {said} cannot use it", remedy=GPU_BUILD)
        return
    oldest = OLDEST_DRIVERS.get(int(cuda.partition(".")[0]))
    if oldest and machine.driver and machine.driver < oldest:
        yield fault(
            f"{there}: driver {machine.driver} is older than {oldest}, which CUDA {cuda} needs",
            remedy=f"Install NVIDIA driver {oldest} or newer, or `export RAG_ADAPT_DEVICE=cpu`.",
        )
        return
    yield ok(f"{there}; {said}")


def number_format(patient: Patient) -> Iterator[Observation]:
    """Whether the processor computes in bfloat16."""
    machine, settings = patient.machine, patient.settings
    if settings.engine != "embedded" or (machine.gpus and settings.device != "cpu"):
        yield ok("the processor's number format does not matter here")
    elif settings.deterministic:
        yield ok("float32: `deterministic` is set")
    elif machine.processor & BFLOAT16:
        yield ok("bfloat16, which this processor computes in")
    else:
        yield warning(
            "float32: this processor does not compute in bfloat16; answers take about twice as "
            "long and training five times",
            remedy="Use a GPU (`--device cuda`) or a processor with AVX512-BF16 or AMX; or keep "
            "to small budgets (`rag-adapt bench SKILL --items 16 --examples 24`).",
        )


def port(patient: Patient) -> Iterator[Observation]:
    """Whether `serve` could listen."""
    wanted = patient.port
    try:
        socket.create_server(("127.0.0.1", wanted)).close()
    except OSError as exc:
        yield warning(
            f"port {wanted} on 127.0.0.1 cannot be had: {exc.strerror or exc}{_whose(wanted)}",
            remedy="Choose another one: `rag-adapt serve --port 0` takes a free one.",
        )
        return
    yield ok(f"port {wanted} on 127.0.0.1 is free")


def _whose(port: int) -> str:
    """What can be said of the process that listens; of other users' processes nothing can."""
    import psutil

    try:
        listening = [
            each.pid
            for each in psutil.net_connections("tcp")
            if each.status == psutil.CONN_LISTEN
            and each.laddr
            and each.laddr.port == port
            and each.pid
        ]
        who = " ".join(psutil.Process(listening[0]).cmdline()[:6]) if listening else ""
    except psutil.Error:
        return ""
    return f" (process {listening[0]}: {who})" if listening else ""
