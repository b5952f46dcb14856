"""The most memory that a stretch of work took.

It does not know the work.
"""

import resource
from contextlib import suppress
from pathlib import Path


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
