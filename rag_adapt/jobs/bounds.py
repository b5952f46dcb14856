"""How much of the machine a job's process may take.

It does not know what the job does with it.
"""

import resource
from typing import Final

import psutil

SHARES: Final = {"index": 0.5}
"""Of the machine's memory, by command: what strangers' documents decide, so that they can end a
job and never the service beside it. Trainings and benchmarks check what they need themselves."""


def bound(command: str) -> None:
    """Limit this process, and what it becomes or starts, as befits a command."""
    share = SHARES.get(command)
    if share is None:
        return
    most = int(share * psutil.virtual_memory().total)
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (wanted, wanted))
