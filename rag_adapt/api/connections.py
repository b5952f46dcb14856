"""Connections of the server: how long a head may be, and how long a client may not read.

It does not know what is asked. Idle connections make room for new ones, so that whoever only
opens them locks nobody out.
"""

import asyncio
import socket
import sys
from typing import Any, ClassVar, Final

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES: Final = 32 * 1024
"""Of a request's line and headers."""
HEAD_SECONDS: Final = 10.0
"""From the connection, or a further request's first byte, until the head is complete."""
REPLY_SECONDS: Final = 30.0
"""For which a client may leave what it was sent unread, once the system's buffers and ours are
full: it is cut off then, and what was done for it is cancelled."""
UNREAD_BYTES: Final = 128 * 1024
"""That the system may hold of an answer, per connection: by itself it takes megabytes."""
KEEP_ALIVE: Final = 5
"""Seconds that a connection is kept after an answer."""
BACKLOG: Final = 128
"""Connections that are accepted at one go."""
MOST: Final = 1000
"""Connections held at once, where the system lets us have twice as many files."""
LEAST: Final = 16


class HeadTooLongError(Exception):
    """Ends the reading of a request; the parser answers it with 400 and closes."""


class Connection(HttpToolsProtocol):
    """One connection; closed where its request's head does not come, or others need the place.

    The parser keeps what it has not understood yet, however much that is: of a head, of a chunk's
    extensions and of trailers `HEAD_BYTES` are taken.
    """

    most: ClassVar[int] = MOST
    head_seconds: ClassVar[float] = HEAD_SECONDS
    reply_seconds: ClassVar[float] = REPLY_SECONDS

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._head: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._named = 0
        """Bytes of the request's line and of complete headers."""
        self._in_head = False
        self._pending = 0
        """Bytes that came since the parser last understood something."""

    @property
    def idle(self) -> bool:
        """Whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a head; the idle connection that waits longest may have to go."""
        super().connection_made(transport)  # type: ignore[arg-type]  # uvicorn narrows asyncio's type
        held = transport.get_extra_info("socket")
        held.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNREAD_BYTES)
        self._await_head()
        if len(self.connections) > self.most:
            self._longest_idle()._close()

    def data_received(self, data: bytes) -> None:
        """Read on; from a head's first byte its end is awaited."""
        self._pending += len(data)
        super().data_received(data)
        if self._pending > HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("Too much came that is no body.")
        if not self.idle:
            self._stop_waiting()
        elif self._head is None:
            self._await_head()

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._named, self._in_head = 0, True

    def on_url(self, url: bytes) -> None:
        """Some of the request's target."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; what comes behind a body is counted, and read by nobody."""
        self._count(len(name) + len(value))
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is there; nothing is upgraded, and nothing follows where that was asked."""
        self._in_head, self._pending = False, 0
        super().on_headers_complete()
        if self.parser.should_upgrade():
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Some of the body."""
        self._pending = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is there."""
        self._pending = 0
        super().on_message_complete()

    def _unsupported_upgrade_warning(self) -> None:
        """Whoever asks for an upgrade writes no line into our log."""

    def _count(self, more: int) -> None:
        self._named += more
        if self._named > HEAD_BYTES:
            raise HeadTooLongError

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more will come; whoever answers is told that the client left."""
        self._stop_waiting()
        self._all_read()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """64 KB lie here unread: the client has so long to take three quarters of them."""
        super().pause_writing()
        self._must_read()

    def resume_writing(self) -> None:
        """The client reads on."""
        self._all_read()
        super().resume_writing()

    def on_response_complete(self) -> None:
        """The answer is written; a connection that closes with it still has to be read."""
        super().on_response_complete()
        self._closing()

    def timeout_keep_alive_handler(self) -> None:
        """Close, where no further request came."""
        super().timeout_keep_alive_handler()
        self._closing()

    def shutdown(self) -> None:
        """Close as the server ends, at once or after the answer."""
        super().shutdown()
        self._closing()

    def _closing(self) -> None:
        """asyncio would wait for ever until the rest is read."""
        if self.transport.is_closing():
            self._must_read()

    def _must_read(self) -> None:
        if self._unread is None:
            self._unread = self.loop.call_later(self.reply_seconds, self._close)

    def _all_read(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _await_head(self) -> None:
        self._head = self.loop.call_later(self.head_seconds, self._close)

    def _stop_waiting(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _longest_idle(self) -> "Connection":
        """Of connections without a request; this one where all have one."""
        waiting = [
            (one._head.when(), id(one), one)
            for one in self.connections
            if isinstance(one, Connection) and one is not self and one.idle and one._head
        ]
        return min(waiting)[2] if waiting else self

    def _close(self) -> None:
        """At once: `connections` must not count it any more when the next one comes."""
        self._stop_waiting()
        self.connections.discard(self)
        self.transport.abort()


def server_config(
    app: FastAPI,
    *,
    grace: int,
    most: int | None = None,
    head_seconds: float = HEAD_SECONDS,
    reply_seconds: float = REPLY_SECONDS,
) -> uvicorn.Config:
    """How the server listens.

    Args:
        app: What answers.
        grace: Seconds that answers under way may take to end when the server stops.
        most: Connections held at once; by the files that this process may open where None.
        head_seconds: See `HEAD_SECONDS`.
        reply_seconds: See `REPLY_SECONDS`.
    """
    bounds = {
        "most": most or most_connections(),
        "head_seconds": head_seconds,
        "reply_seconds": reply_seconds,
    }
    return uvicorn.Config(
        app,
        http=type("BoundedConnection", (Connection,), bounds),
        timeout_keep_alive=KEEP_ALIVE,
        backlog=BACKLOG,
        ws="none",
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=grace,
    )


def most_connections() -> int:
    """Half of the files that this process may open: the rest is for its own."""
    if sys.platform == "win32":
        return MOST
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if soft == resource.RLIM_INFINITY else max(LEAST, min(MOST, soft // 2))
