"""Streams of wire models: read by one thread, closed by any, opened again where that is right.

It does not know HTTP or what the models say.
"""

import json
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Final, Generic, Self, TypeVar

from rag_adapt.client.connection import Connection, Request, Retries
from rag_adapt.client.errors import ApiError, cut_off, problem
from rag_adapt.client.events import Event, Wire

Value = TypeVar("Value")
DONE: Final = "[DONE]"


def told_failure(event: Event) -> ApiError | None:
    """An event `{"error": ...}`: the service failed after it had begun to answer."""
    if event.name != "error" and not event.data.startswith('{"error"'):
        return None
    try:
        document = json.loads(event.data)
    except ValueError:
        document = None
    told = document.get("error") if isinstance(document, dict) else None
    return problem(told if isinstance(told, dict) else {})


@dataclass(frozen=True, kw_only=True)
class Reading(Generic[Value]):
    """How the events of one kind of stream are understood."""

    value: Callable[[Event], Value | None]
    """What an event says; None leaves it out."""
    failure: Callable[[Event], ApiError | None] = told_failure
    """The failure that an event tells; nothing follows it."""
    is_last: Callable[[Event], bool] = lambda event: event.data == DONE
    """Whether nothing follows an event. A stream that ends without it was cut off."""


@dataclass(frozen=True, kw_only=True)
class Reconnect:
    """When a stream that was cut off is opened again."""

    patience: float = 60.0
    """Seconds without any event after which it is given up."""
    pause: float = 0.5
    """Seconds before the first attempt, then doubled up to `longest`."""
    longest: float = 5.0


NEVER: Final = Reconnect(patience=0.0)


class Stream(Iterator[Value]):
    """Values as they come. Nothing is asked before the first one is wanted.

    One thread iterates; `close` may be called by any thread at any time, also while the reader
    waits: the reader's loop then ends, and the service cancels its work. Iterating to the end, an
    error and leaving a `with` block close it too.

    Args:
        connection: To the service.
        request: Sent at every opening.
        reading: What events mean.
        reconnect: Whether it is opened again after it was cut off; the service then repeats what
            it has to, or begins after `Last-Event-ID` where its events have ids.
    """

    def __init__(
        self,
        connection: Connection,
        request: Request,
        reading: Reading[Value],
        *,
        reconnect: Reconnect = NEVER,
    ) -> None:
        self._connection, self._request, self._reading = connection, request, reading
        self._reconnect = reconnect
        self._closed = threading.Event()
        self._changing = threading.Lock()
        self._wire: Wire | None = None
        self._values = self._all()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Value:
        """The next value.

        Raises:
            ApiError: the service refused, failed in the middle, or could not be reached.
        """
        return next(self._values)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def closed(self) -> bool:
        """Whether somebody closed it, or it has ended."""
        return self._closed.is_set()

    def close(self) -> None:
        """End it; returns at once. More than once does no more."""
        with self._changing:
            self._closed.set()
            if self._wire is not None:
                self._wire.hang_up()
        with suppress(ValueError):  # it is running, here or in another thread, and ends by itself
            self._values.close()

    def _all(self) -> Generator[Value, None, None]:
        try:
            with closing(self._events()) as events:
                for event in events:
                    if (failure := self._reading.failure(event)) is not None:
                        raise failure
                    if event.data != DONE and (found := self._reading.value(event)) is not None:
                        yield found
                    if self._reading.is_last(event):
                        return
        finally:
            self.close()

    def _events(self) -> Generator[Event, None, None]:
        """The events of one opening after another, until somebody closes it."""
        attempts = _Attempts(self._connection.retries, self._reconnect)
        request = self._request
        while not self._closed.is_set():
            try:
                for event in self._opened(request):
                    attempts.heard()
                    if event.id:
                        resumed = {**request.headers, "Last-Event-ID": event.id}
                        request = replace(request, headers=resumed)
                    yield event
                if not self._closed.is_set():
                    raise cut_off(self._connection.base_url)
            except ApiError as error:
                if not self._closed.is_set():
                    self._closed.wait(attempts.pause(error))

    def _opened(self, request: Request) -> Iterator[Event]:
        wire = Wire(self._connection, request)
        with self._changing:
            if self._closed.is_set():
                return
            self._wire = wire
        yield from wire.events()


class _Attempts:
    """How often a stream was opened, and whether it may be opened again."""

    def __init__(self, retries: Retries, reconnect: Reconnect) -> None:
        self._retries, self._reconnect = retries, reconnect
        self._tried = 0
        self._begun = False
        self._lost_since: float | None = None

    def heard(self) -> None:
        """An event came: the connection works."""
        self._begun, self._tried, self._lost_since = True, 0, None

    def pause(self, error: ApiError) -> float:
        """Seconds before it is opened again.

        Raises:
            ApiError: the same one, if it is not.
        """
        pause = self._return(error) if self._begun else self._first(error)
        if pause is None:
            raise error
        self._tried += 1
        return pause

    def _first(self, error: ApiError) -> float | None:
        """Before anything was heard it is a request like others, and nothing has begun."""
        return self._retries.pause(error, repeatable=False, tried=self._tried)

    def _return(self, error: ApiError) -> float | None:
        """A service that restarts is away for a while, and then not ready."""
        now = time.monotonic()
        self._lost_since = now if self._lost_since is None else self._lost_since
        away = error.code in ("cut-off", "timed-out", "unreachable")
        waits = away or error.status in (429, 503)
        if not waits or now - self._lost_since >= self._reconnect.patience:
            return None
        return min(self._reconnect.longest, self._reconnect.pause * 2.0**self._tried)
