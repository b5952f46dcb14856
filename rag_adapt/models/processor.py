"""What the processor computes in, as the kernel tells it: known before any library is loaded.

It does not know models.
"""

from pathlib import Path
from typing import Final

PROCESSOR: Final = Path("/proc/cpuinfo")
UNITS: Final = frozenset({"amx_bf16", "avx512_bf16"})
"""Capabilities with which products in bfloat16 are much faster than in float32."""


def multiplies_bfloat16(processor: Path = PROCESSOR) -> bool:
    """Whether the processor has units for products in bfloat16; False where nobody says so.

    Args:
        processor: The kernel's description, with a line of `flags` for each core.
    """
    try:
        lines = processor.read_text().splitlines()
    except OSError:
        return False
    flags = next((line for line in lines if line.startswith("flags")), "")
    return not UNITS.isdisjoint(flags.split())
