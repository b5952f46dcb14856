"""How much of everything a client gets: bytes, seconds, requests.

It does not know who the client is, nor what it asks.
"""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from rag_adapt.api.origin import media_type
from rag_adapt.api.problems import ApiProblem

if TYPE_CHECKING:
    from rag_adapt.settings import Settings

CLOSE: Final = {"Connection": "close"}
"""What is left of a refused body is not read: the connection ends with the answer."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The bounds of one service."""

    body_bytes: int = 2_000_000
    """Of a JSON body."""
    upload_bytes: int = 100_000_000
    """Of a multipart body."""
    body_seconds: float = 30.0
    """From a body's first byte asked for until its last."""
    rate: float = 100.0
    """Requests per second and key, on average."""
    burst: int = 200
    """Requests of one key at once after a pause."""
    concurrency: int = 128
    """Requests answered at once, all clients together; as many bodies may be on their way."""

    @classmethod
    def of(cls, settings: "Settings") -> Self:
        """The limits that the settings say."""
        return cls(
            body_bytes=settings.serve_body_bytes,
            upload_bytes=settings.serve_upload_bytes,
            body_seconds=settings.serve_body_seconds,
            rate=settings.serve_rate,
            burst=settings.serve_burst,
            concurrency=settings.serve_concurrency,
        )


class Buckets:
    """One token bucket per name: `burst` at once, then `rate` per second.

    Args:
        rate: Tokens per second that flow in.
        burst: Tokens that a bucket holds.
        clock: Seconds that never go back.
    """

    def __init__(
        self, *, rate: float, burst: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._levels: dict[str, float] = {}
        self._times: dict[str, float] = {}

    def take(self, name: str) -> None:
        """Take one token.

        Raises:
            ApiProblem: 429; `Retry-After` says in how many seconds there is one again.
        """
        now = self._clock()
        passed = now - self._times.get(name, now)
        level = min(self._burst, self._levels.get(name, self._burst) + passed * self._rate)
        self._times[name] = now
        self._levels[name] = level - 1 if level >= 1 else level
        if level < 1:
            wait = math.ceil((1 - level) / self._rate)
            raise ApiProblem(
                status=429,
                code="rate-limit",
                detail=f"more than {self._rate:g} requests a second",
                hint=f"Wait {wait} s and send it again; the operator may raise serve_rate.",
                retryable=True,
                headers={"Retry-After": str(wait)},
            )


class Places:
    """So many requests inside, and no more; a quarter is out of reach for any single caller."""

    def __init__(self, count: int) -> None:
        self._count, self._share = count, count - count // 4
        self._taken: Counter[str] = Counter()

    def enter(self, name: str) -> None:
        """Take a place for a caller; `leave` gives it back.

        Raises:
            ApiProblem: 503, all are taken; 429, the caller has as many as one may have.
        """
        if self._taken.total() >= self._count:
            raise ApiProblem(
                status=503,
                code="busy",
                detail=f"{self._count} requests are being answered already",
                hint="Send it again in a moment; the operator may raise serve_concurrency.",
                retryable=True,
                headers={"Retry-After": "1", **CLOSE},
            )
        if self._taken[name] >= self._share:
            raise ApiProblem(
                status=429,
                code="too-many-at-once",
                detail=f"{self._share} requests of this caller are under way already",
                hint="Wait for one of them; the operator may raise serve_concurrency.",
                retryable=True,
                headers={"Retry-After": "1", **CLOSE},
            )
        self._taken[name] += 1

    def leave(self, name: str) -> None:
        """Give a place back."""
        self._taken[name] -= 1
        if not self._taken[name]:
            del self._taken[name]


class Visit:
    """One request's place: among those that are read until its body is there, then among those
    that are answered. Slow bodies thus keep nobody from being answered.

    Args:
        reading: Places of requests whose body is on its way.
        answering: Places of the others.
        name: The caller's.
    """

    def __init__(self, reading: Places, answering: Places, *, name: str) -> None:
        self._reading, self._answering, self._name = reading, answering, name
        self._at: Places | None = None

    def enter(self, *, announced: bool) -> None:
        """Come in, with a body to be read or without.

        Raises:
            ApiProblem: see `Places.enter`.
        """
        self._move(self._reading if announced else self._answering)

    def complete(self) -> None:
        """The body is there.

        Raises:
            ApiProblem: see `Places.enter`.
        """
        if self._at is self._reading:
            self.leave()
            self._move(self._answering)

    def leave(self) -> None:
        """Go, wherever it is."""
        if self._at is not None:
            self._at.leave(self._name)
            self._at = None

    def _move(self, places: Places) -> None:
        places.enter(self._name)
        self._at = places


def has_body(headers: Headers) -> bool:
    """Whether the request announces a body."""
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


def byte_limit(headers: Headers, limits: Limits) -> int:
    """Bytes that this request's body may have.

    Raises:
        ApiProblem: 413, it announces more.
    """
    upload = media_type(headers.get("content-type", "")) == "multipart/form-data"
    limit = limits.upload_bytes if upload else limits.body_bytes
    length = headers.get("content-length", "0")
    if length.isdecimal() and (len(length) > 18 or int(length) > limit):
        raise _too_large(limit)
    return limit


class Body:
    """A request's body on its way in: counted, never kept, refused when too long or too slow.

    Frameworks turn an error while they read into an answer of their own. That answer is held
    back, and `refused` says what to send in its place.
    """

    def __init__(
        self,
        receive: Receive,
        *,
        limit: int,
        seconds: float,
        announced: bool,
        visit: Visit | None = None,
    ) -> None:
        self.announced = announced
        self.visit = visit
        """Told when the body is complete."""
        self.refused: ApiProblem | None = None
        self._receive, self._limit, self._seconds = receive, limit, seconds
        self._size = 0
        self._complete = not announced
        self._deadline: float | None = None

    async def receive(self) -> Message:
        """The next message; in place of the server's own `receive`.

        Raises:
            ApiProblem: 413, 408, or what `Visit.complete` refuses with.
        """
        message = await (self._receive() if self._complete else self._in_time())
        if message["type"] == "http.request":
            self._size += len(message.get("body", b""))
            if self._size > self._limit:
                self._refuse(_too_large(self._limit))
            if not message.get("more_body", False):
                self._finish()
        return message

    def _finish(self) -> None:
        if self._complete:
            return
        self._complete = True
        try:
            if self.visit is not None:
                self.visit.complete()
        except ApiProblem as problem:
            self._refuse(problem)

    async def _in_time(self) -> Message:
        loop = asyncio.get_running_loop()
        if self._deadline is None:
            self._deadline = loop.time() + self._seconds
        try:
            async with asyncio.timeout_at(self._deadline):
                return await self._receive()
        except TimeoutError:
            return self._refuse(_too_slow(self._seconds))

    def _refuse(self, problem: ApiProblem) -> Message:
        self.refused = problem
        raise problem


class Reply:
    """A response on its way out: its status is noted; held back where the body was refused."""

    def __init__(self, send: Send, body: Body) -> None:
        self.status: int | None = None
        """None while nothing was sent."""
        self._send, self._body = send, body

    async def send(self, message: Message) -> None:
        """In place of the server's own `send`."""
        if self.status is None and self._body.refused is not None:
            return
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)

    async def finish(self, scope: Scope, receive: Receive) -> None:
        """Send the refusal, if there is one and nothing was sent."""
        refused = self._body.refused
        if refused is not None and self.status is None:
            self.status = refused.status
            await refused.response()(scope, receive, self._send)


def _too_large(limit: int) -> ApiProblem:
    return ApiProblem(
        status=413,
        code="body-too-large",
        detail=f"the body is longer than {limit} bytes",
        hint="Send less; the operator may raise serve_body_bytes (JSON) or serve_upload_bytes "
        "(uploads).",
        headers=CLOSE,
    )


def _too_slow(seconds: float) -> ApiProblem:
    return ApiProblem(
        status=408,
        code="body-too-slow",
        detail=f"the body was not complete within {seconds:g} s",
        hint="Send it again over a faster connection; the operator may raise serve_body_seconds.",
        retryable=True,
        headers=CLOSE,
    )
