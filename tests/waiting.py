"""Waiting for what happens beside a test.

A wait that succeeds ends at once, so its limit is long: it only says that something never came. No
test says how long anything may take; machines are shared, and `benchmarks/` measures that.
"""

import time
from collections.abc import Callable


def wait_until(true: Callable[[], object], *, seconds: float = 60.0) -> None:
    """Return once it is true.

    Raises:
        AssertionError: It was not in all that time.
    """
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)
