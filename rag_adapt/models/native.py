"""Settings of the libraries beneath torch that keep a busy machine usable and memory small.

It does not know models. On two shared cores with one other busy process a small bfloat16 product
took 8 ms with OpenMP's threads spinning while they wait for each other, and 0.4 ms with sleeping
ones. oneDNN compiles a program for each size of a product, and by default keeps 1,024 of them:
0.2 MB each.
"""

import os
from typing import Final

DEFAULTS: Final = {"OMP_WAIT_POLICY": "PASSIVE", "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "256"}
"""Variables of the environment that the libraries read once, when they are loaded."""


def set_native_defaults() -> None:
    """Set what the user did not; call it before torch is imported, later it changes nothing."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
