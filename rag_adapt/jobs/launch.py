"""Becomes a job's command, once the table says which process it is.

It does not know what the command does. Run as `python -m rag_adapt.jobs.launch HOME JOB COMMAND
...`. A runner that is killed between starting a process and writing its number down would leave
work behind that nobody knows; so the process writes the number itself, and only then begins.
"""

import os
import signal
import sys
from pathlib import Path

from rag_adapt.jobs.bounds import bound
from rag_adapt.jobs.process import birth
from rag_adapt.jobs.store import JobStore

NOT_BEGUN = 130
"""Exit code where the job was cancelled, or given up, in the meantime."""


def launch(arguments: list[str]) -> None:
    """Note this process and replace it by the command.

    Raises:
        SystemExit: it must not begin any more.
    """
    home, job, *command = arguments
    store = JobStore(Path(home))
    if not store.begin(job, pid=os.getpid(), born=birth(os.getpid())):
        raise SystemExit(NOT_BEGUN)
    bound(store.get(job).argv[0])
    store.close()
    # Whoever was started in the background of a script ignores Ctrl-C, and would pass that on.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.execv(command[0], command)


if __name__ == "__main__":
    launch(sys.argv[1:])
