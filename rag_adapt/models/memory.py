"""Hands memory that was freed back to the system.

It does not know what used it. The C library keeps what tensors leave behind: after a training and
some hundred answers the process held twice what it still used.
"""

import ctypes
import gc
import sys


def hand_back() -> bool:
    """Collect garbage and return freed pages; whether this system's C library can do it."""
    gc.collect()
    if not sys.platform.startswith("linux"):
        return False
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, musl does not
    if trim is None:
        return False
    trim(0)
    return True
