"""Sends requests to the service: addresses, keys, timeouts, retries, bounded answers.

It does not know what any operation means.
"""

import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, Final, Literal, TypeVar
from urllib.parse import quote
from uuid import uuid4

import httpx
from pydantic import BaseModel

from rag_adapt import __version__
from rag_adapt.client.errors import ApiError, closed, parsed, refused, too_large, translated
from rag_adapt.core.errors import SettingsError

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Patience = Literal["quick", "work", "answer", "upload"]
"""How long an answer may take: `Timeouts` says it in seconds."""
Query = Mapping[str, str | int | bool | None]
Model = TypeVar("Model", bound=BaseModel)
LARGEST: Final = 64 * 2**20
"""Bytes of one answer that are held in memory."""
UPLOAD_HEADER: Final = {"X-Rag-Adapt": "1"}
"""Shows that no web page sent an upload."""


@dataclass(frozen=True, kw_only=True)
class Timeouts:
    """Seconds of silence after which a call is given up, by kind."""

    connect: float = 5.0
    quick: float = 30.0
    """Things that are there and only have to be read."""
    work: float = 180.0
    """Plans, checks, imports, searches: computed while one waits."""
    answer: float = 600.0
    """A whole answer of a model, and the first piece of a streamed one."""
    upload: float = 600.0


@dataclass(frozen=True, kw_only=True)
class Retries:
    """When a request is sent again: see `pause`."""

    most: int = 2
    """Repetitions of one request."""
    longest: float = 15.0
    """Seconds that are waited at most because a service asks for it; longer is an error."""
    first: float = 0.2
    """Seconds before the first repetition after a lost connection; then doubled."""

    def pause(self, error: ApiError, *, repeatable: bool, tried: int) -> float | None:
        """Seconds to wait before the same request is sent again; None: give up.

        A request that was turned away with 429 or 503 and `Retry-After` was not begun: any may be
        sent again. After a lost connection only those that change nothing or carry a key.
        """
        if tried >= self.most:
            return None
        if error.status in (429, 503) and error.retry_after is not None:
            return error.retry_after if error.retry_after <= self.longest else None
        return self.first * 2**tried if error.code == "cut-off" and repeatable else None


@dataclass(frozen=True, kw_only=True)
class Upload:
    """One file of an upload."""

    name: str
    """A file name; the service keeps letters, digits, dots and hyphens of it."""
    content: bytes | IO[bytes]
    """Open files are read in pieces, from their beginning."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request, before it has an address."""

    method: Method = "GET"
    path: str
    """Escaped; begins with a slash."""
    query: Query = field(default_factory=dict)
    """Without those that are None."""
    body: BaseModel | None = None
    """Sent as JSON: only what was set, so that defaults stay the service's."""
    form: Mapping[str, str] | None = None
    """Fields of an upload."""
    files: Sequence[tuple[str, Upload]] = ()
    """Field name and file."""
    patience: Patience = "quick"
    repeatable: bool | None = None
    """Whether sending it twice does no more than once; None: GET does, and what has a key."""
    key: str | None = None
    """`Idempotency-Key`."""
    accept: Sequence[int] = ()
    """Error statuses that carry an answer all the same."""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def may_repeat(self) -> bool:
        """See `repeatable`."""
        if self.repeatable is not None:
            return self.repeatable
        return self.method == "GET" or self.key is not None


@dataclass(frozen=True, kw_only=True)
class Answered:
    """What came back."""

    body: bytes
    headers: Mapping[str, str]
    """By name, in whatever case."""


class Connection:
    """A service at an address.

    Args:
        base_url: Such as `http://127.0.0.1:8000`; an ending `/v1` is left out.
        key: API key, for a service that asks for one.
        timeouts: Bounds of waiting.
        retries: When requests are repeated.
        tls: Which certificates are trusted; the public authorities' by default.
        transport: What carries requests instead of the network.
        sleep: Waits between repetitions.

    Raises:
        SettingsError: the address or the key is none.
    """

    def __init__(
        self,
        base_url: str,
        *,
        key: str | None = None,
        timeouts: Timeouts | None = None,
        retries: Retries | None = None,
        tls: ssl.SSLContext | None = None,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.base_url = _address(base_url)
        self.timeouts, self.retries = timeouts or Timeouts(), retries or Retries()
        self._headers = {"User-Agent": f"rag-adapt/{__version__}", **_authorization(key)}
        self._tls = tls or _tls(self.base_url)
        self._transport, self._sleep = transport, sleep
        self._http = self.fresh()

    def fresh(self) -> httpx.Client:
        """A pool of connections of its own: a stream takes one, so that it can be hung up."""
        # the environment's proxies and netrc stay out: a local service is reached directly
        return httpx.Client(
            headers=self._headers, verify=self._tls, transport=self._transport, trust_env=False
        )

    def close(self) -> None:
        """End all connections but those of streams."""
        self._http.close()

    def fetch(self, kind: type[Model], request: Request) -> Model:
        """Send a request and read its answer as a wire model.

        Raises:
            ApiError: there is no such answer.
        """
        return parsed(kind, self.ask(request))

    def ask(self, request: Request) -> bytes:
        """As `answer`, the body alone.

        Raises:
            ApiError: the answer is an error, or there is none.
        """
        return self.answer(request).body

    def answer(self, request: Request) -> Answered:
        """Send a request, again where that is right.

        Raises:
            ApiError: the answer is an error, or there is none.
        """
        tried = 0
        while True:
            try:
                return self._once(request)
            except ApiError as error:
                pause = self.retries.pause(error, repeatable=request.may_repeat, tried=tried)
                if pause is None:
                    raise
            self._sleep(pause)
            tried += 1

    def build(self, http: httpx.Client, request: Request) -> httpx.Request:
        """The request as HTTP."""
        headers = dict(request.headers)
        content: dict[str, Any] = {}
        if request.body is not None:
            headers["Content-Type"] = "application/json"
            content["content"] = request.body.model_dump_json(exclude_unset=True, by_alias=True)
        if request.files:
            headers |= UPLOAD_HEADER
            content["data"] = dict(request.form or {})
            content["files"] = [(name, (f.name, f.content)) for name, f in request.files]
        if request.key is not None:
            headers["Idempotency-Key"] = request.key
        return http.build_request(
            request.method,
            self.base_url + request.path,
            params={k: _plain(v) for k, v in request.query.items() if v is not None},
            headers=headers,
            timeout=self._timeout(request.patience),
            **content,
        )

    def _once(self, request: Request) -> Answered:
        if self._http.is_closed:
            raise closed()
        with translated(self.base_url):
            response = self._http.send(self.build(self._http, request), stream=True)
            try:
                body = held(response)
            finally:
                response.close()
        if response.is_success or response.status_code in request.accept:
            return Answered(body=body, headers=response.headers)
        raise refused(response.status_code, response.headers, body)

    def _timeout(self, patience: Patience) -> httpx.Timeout:
        return httpx.Timeout(getattr(self.timeouts, patience), connect=self.timeouts.connect)


def held(response: httpx.Response) -> bytes:
    """The whole body.

    Raises:
        ApiError: it is larger than `LARGEST`.
    """
    parts: list[bytes] = []
    size = 0
    for part in response.iter_bytes():
        size += len(part)
        if size > LARGEST:
            raise too_large("the answer", LARGEST)
        parts.append(part)
    return b"".join(parts)


def path(*parts: str, under: str = "/v1") -> str:
    """Path of an operation; every part is one segment, escaped.

    Raises:
        ApiError: a part is empty or leads elsewhere.
    """
    return "/".join([under, *(_segment(part, safe="@:+") for part in parts)])


def nested(name: str) -> str:
    """Part of a path that holds slashes of its own, such as a document's, escaped.

    Raises:
        ApiError: it is empty or leads elsewhere.
    """
    return "/".join(_segment(part, safe="@:+") for part in name.split("/"))


def fresh_key() -> str:
    """An `Idempotency-Key` that nobody else has."""
    return uuid4().hex


def _segment(part: str, *, safe: str) -> str:
    if part in ("", ".", ".."):
        raise ApiError(
            status=400,
            code="invalid-request",
            detail=f"{part!r} is no name",
            hint="Take names and ids from the lists of the service.",
        )
    return quote(part, safe=safe)


def _plain(value: str | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _address(base_url: str) -> str:
    """Without `/v1` and what follows.

    Raises:
        SettingsError: it is none.
    """
    place = httpx.URL() if (found := _url(base_url)) is None else found
    if place.scheme not in ("http", "https") or not place.host or place.userinfo or place.query:
        raise SettingsError(
            f"{base_url!r} is no address of a service",
            hint="Give one like http://127.0.0.1:8000; `rag-adapt serve` prints its own.",
        )
    return str(place.copy_with(fragment=None)).rstrip("/").removesuffix("/v1").rstrip("/")


def _url(text: str) -> httpx.URL | None:
    try:
        return httpx.URL(text.strip())
    except httpx.InvalidURL:
        return None


def _authorization(key: str | None) -> dict[str, str]:
    if key is None:
        return {}
    if not key.strip() or not key.strip().isascii() or not key.strip().isprintable():
        raise SettingsError(
            "this API key holds characters that no key has",
            hint="Copy the whole key as `rag-adapt keys create NAME --scope chat` printed it.",
        )
    return {"Authorization": f"Bearer {key.strip()}"}


def _tls(base_url: str) -> ssl.SSLContext:
    """Certificates are loaded once, and not at all for an address without TLS."""
    if base_url.startswith("https:"):
        return httpx.create_ssl_context(trust_env=False)
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
