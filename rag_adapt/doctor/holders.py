"""Who holds a lock file: asked without taking it, so that no builder is disturbed.

It does not know what is locked.
"""

import fcntl
from pathlib import Path


def is_held(lock: Path) -> bool:
    """Whether a process holds the lock; a file that a dead process left behind is not held."""
    try:
        with lock.open("rb") as file:
            # shared and at once given back: two readers that ask do not see each other
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            fcntl.flock(file, fcntl.LOCK_UN)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def holder(lock: Path) -> str:
    """What can be said about the process whose number stands in a held lock file."""
    import psutil

    written = lock.read_text().strip()
    if not written.isdigit():
        return "another process"
    try:
        line = " ".join(psutil.Process(int(written)).cmdline()[:8])
    except psutil.Error:
        line = ""
    return f"process {written}" + (f" ({line})" if line else "")
