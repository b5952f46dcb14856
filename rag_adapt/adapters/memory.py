"""How much memory there is, and the most that a stretch of work took.

It does not know the work.
"""

import resource
from contextlib import suppress
from pathlib import Path
from typing import Final

GROUP: Final = Path("/sys/fs/cgroup")


def available_memory(
    device: str, *, meminfo: Path = Path("/proc/meminfo"), group: Path = GROUP
) -> int | None:
    """Bytes that new work can have; None where the system does not say.

    Args:
        device: `cuda` asks the GPU, anything else the system.
        meminfo: Where Linux says what is available.
        group: Where it says what this container may use.
    """
    if device == "cuda":
        import torch

        cached = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
        return int(torch.cuda.mem_get_info()[0]) + cached
    limits = [limit for limit in (_of_system(meminfo), _of_group(group)) if limit is not None]
    return min(limits, default=None)


def _of_system(meminfo: Path) -> int | None:
    with suppress(OSError):
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def _of_group(group: Path) -> int | None:
    """What a container's limit leaves, cached files that can be dropped counted as free."""
    with suppress(OSError, ValueError):  # no such file, or "max": no limit
        limit = int((group / "memory.max").read_text())
        used = int((group / "memory.current").read_text())
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        return limit - used + int(stat.get("inactive_file", 0))
    return None


class PeakMemory:
    """Measures from its construction on, where the system lets the mark be reset.

    Args:
        device: `cuda` measures the GPU's memory, anything else this process's.
    """

    def __init__(self, device: str) -> None:
        self._cuda = device == "cuda"
        if self._cuda:
            import torch

            torch.cuda.reset_peak_memory_stats()
        else:
            with suppress(OSError):  # the mark then covers the process's whole life
                Path("/proc/self/clear_refs").write_text("5")

    def bytes(self) -> int:
        """The peak so far."""
        if self._cuda:
            import torch

            return int(torch.cuda.max_memory_allocated())
        with suppress(OSError):
            for line in Path("/proc/self/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
