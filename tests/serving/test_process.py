"""A process is told apart from another one that got its number."""

import subprocess
import sys
from dataclasses import replace

from rag_adapt.serving.process import Process


def test_this_process_lives_and_is_no_other_one() -> None:
    here = Process.this()
    assert here.lives
    assert not replace(here, born=here.born - 100).lives


def test_a_process_that_ended_does_not_live() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert not Process(pid=ended.pid, born=Process.this().born).lives


def test_a_process_that_nobody_waited_for_does_not_live_either() -> None:
    with subprocess.Popen([sys.executable, "-c", "pass"], stdout=subprocess.PIPE) as ended:
        assert ended.stdout is not None
        born = Process(pid=ended.pid, born=0.0)
        ended.stdout.read()  # its end of the pipe is closed when it ends
        import psutil

        begun = psutil.Process(ended.pid).create_time()
        while psutil.Process(ended.pid).status() != psutil.STATUS_ZOMBIE:
            continue
        assert not replace(born, born=begun).lives
