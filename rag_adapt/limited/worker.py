"""One child that reads many files in turn, begun again where one of them was too much for it.

It does not know what is read. To start a process costs more than to read most files.
"""

import json
import os
import select
import signal
import subprocess
import time
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from rag_adapt.core.errors import UserError
from rag_adapt.limited.bounds import Bounds, ParserError
from rag_adapt.limited.call import command, environment, late, understood
from rag_adapt.limited.child import Task
from rag_adapt.limited.many import FILES, LENGTH


class Worker:
    """Calls a task in a confined process, one call at a time; blocking, for one thread.

    Args:
        task: A function at the top of a module of ours that imports little.
        bounds: What one call may use up.
        refused_as: What is raised where the task raised one of our errors.
        files: Calls after which the child is replaced, `FILES` at most.
    """

    def __init__(
        self,
        task: Task,
        *,
        bounds: Bounds | None = None,
        refused_as: type[UserError] = ParserError,
        files: int = FILES,
    ) -> None:
        self._task, self._bounds = task, bounds or Bounds()
        self._refused_as, self._files = refused_as, min(files, FILES)
        self._child: subprocess.Popen[bytes] | None = None
        self._calls = 0

    def ask(self, asked: dict[str, Any]) -> dict[str, Any]:
        """What the task gives for `asked`; a call that fails costs no other one anything.

        Raises:
            UserError: of the class `refused_as`: the task refused what it was given.
            ParserError: the call used up its limits, or ended in a way that nobody foresaw.
            OSError: the disk is full, or cannot be written.
        """
        child = self._begun()
        try:
            raw = self._talk(child, json.dumps(asked).encode() + b"\n")
        except TimeoutError as error:
            self.close()
            raise late(self._bounds) from error
        except EOFError:
            status = child.wait()
            self.close()
            return understood(b"", status or 1, self._bounds, self._refused_as)
        except BaseException:
            self.close()
            raise
        if raw is None or raw.startswith(b'{"ended"'):
            self.close()
        return understood(raw, 0, self._bounds, self._refused_as)

    def close(self) -> None:
        """End the child; the next call begins another one."""
        child, self._child = self._child, None
        if child is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _begun(self) -> "subprocess.Popen[bytes]":
        if self._calls >= self._files:
            self.close()
        if self._child is None:
            self._calls = 0
            self._child = subprocess.Popen(
                command("rag_adapt.limited.many", self._task, self._bounds),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment(),
                start_new_session=True,
                bufsize=0,
            )
        self._calls += 1
        return self._child

    def _talk(self, child: "subprocess.Popen[bytes]", asked: bytes) -> bytes | None:
        """Hand over the question and read the answer; None where it is longer than it may be."""
        assert child.stdin is not None  # both are pipes
        assert child.stdout is not None
        until = time.monotonic() + self._bounds.seconds
        with suppress(BrokenPipeError):  # it died: reading says so
            child.stdin.write(asked)
        place = child.stdout.fileno()
        length = int.from_bytes(_exactly(place, LENGTH, until))
        return None if length > self._bounds.result_bytes else _exactly(place, length, until)


def _exactly(place: int, count: int, until: float) -> bytes:
    """That many bytes of a pipe.

    Raises:
        TimeoutError: they did not come in time.
        EOFError: its other end is gone.
    """
    poll = select.poll()
    poll.register(place, select.POLLIN)
    parts: list[bytes] = []
    while count:
        if not poll.poll(max(0.0, until - time.monotonic()) * 1000):
            raise TimeoutError
        if not (part := os.read(place, min(count, 1 << 20))):
            raise EOFError
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
