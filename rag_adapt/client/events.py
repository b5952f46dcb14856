"""Server-sent events out of bytes, and the hanging up of their connection from another thread.

It does not know what any event says.
"""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import httpx

from rag_adapt.client.connection import Connection, Request, held
from rag_adapt.client.errors import refused, too_large, translated

LONGEST: Final = 16 * 2**20
"""Bytes of one event that are held in memory."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """One event of a stream."""

    data: str
    name: str = "message"
    id: str | None = None
    """The latest that the stream named, for `Last-Event-ID`."""


class Parser:
    """Events out of pieces of bytes, wherever these are cut (HTML standard, section 9.2).

    Holds no more than one event.
    """

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self._data: list[str] = []
        self._held = 0
        self._name = ""
        self._id: str | None = None

    def feed(self, piece: bytes) -> Iterator[Event]:
        """The events that this piece completes.

        Raises:
            ApiError: one is larger than `LONGEST`.
        """
        *lines, rest = piece.split(b"\n")
        for line in lines:
            whole = b"".join([*self._rest, line])
            self._rest.clear()
            self._held -= len(whole) - len(line)
            if (event := self._line(whole.removesuffix(b"\r"))) is not None:
                yield event
        self._rest.append(rest)
        self._held += len(rest)
        if self._held > LONGEST:
            raise too_large("an event", LONGEST)

    def _line(self, line: bytes) -> Event | None:
        if not line:
            return self._end()
        field, _, value = line.decode("utf-8", "replace").partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
            self._held += len(line)
        elif field == "event":
            self._name = value
        elif field == "id" and "\0" not in value:
            self._id = value
        return None

    def _end(self) -> Event | None:
        """An empty line ends an event; one without data is none."""
        name, data = self._name or "message", self._data
        self._name, self._data, self._held = "", [], 0
        return Event(data="\n".join(data), name=name, id=self._id) if data else None


class Wire:
    """One streamed response on a connection of its own.

    One thread reads; any may hang up, also while the reader waits for the first byte. The service
    notices at once and cancels what it was doing.
    """

    def __init__(self, connection: Connection, request: Request) -> None:
        self._connection, self._request = connection, request
        self._hung_up = threading.Event()
        self._socket: socket.socket | None = None

    def events(self) -> Iterator[Event]:
        """Connect and read until the end, or until somebody hangs up.

        Raises:
            ApiError: the answer is an error, or the connection was lost.
        """
        try:
            with self._connection.fresh() as http, translated(self._connection.base_url):
                yield from self._read(http)
        except Exception:
            if not self._hung_up.is_set():  # whatever breaks afterwards is the wanted end
                raise

    def hang_up(self) -> None:
        """End the connection; the reader ends too. More than once does no more."""
        self._hung_up.set()
        self._shut()

    def _read(self, http: httpx.Client) -> Iterator[Event]:
        request = self._connection.build(http, self._request)
        request.extensions = {**request.extensions, "trace": self._noted}
        response = http.send(request, stream=True)
        try:
            if not response.is_success:
                raise refused(response.status_code, response.headers, held(response))
            parser = Parser()
            for piece in response.iter_bytes():
                if self._hung_up.is_set():
                    return
                yield from parser.feed(piece)
        finally:
            response.close()

    def _noted(self, event: str, info: dict[str, Any]) -> None:
        """The transport tells what it does: here it is met when it has connected."""
        ask: Callable[[str], Any] | None
        ask = getattr(info.get("return_value"), "get_extra_info", None)
        if ask is not None and isinstance(found := ask("socket"), socket.socket):
            self._socket = found
            if self._hung_up.is_set():
                self._shut()

    def _shut(self) -> None:
        if (open_ := self._socket) is not None:
            with suppress(OSError):  # it is closed already
                open_.shutdown(socket.SHUT_RDWR)
