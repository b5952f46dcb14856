"""Everything that can go wrong between a client and the service, as one exception.

It does not know how requests are sent.
"""

import json
import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ValidationError

from rag_adapt import __version__
from rag_adapt.core.errors import UserError

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
SHOWN: Final = 200
"""Characters of a foreign body that are shown."""
SHOWN_FAULTS: Final = 5
Model = TypeVar("Model", bound=BaseModel)


class ApiError(UserError):
    """The service refused, failed, or could not be reached; `fact` and `hint` can be shown as is.

    Args:
        status: HTTP status; 503, 504 and 502 where there was no answer, none in time, or one that
            ended early or cannot be read.
        code: Stable name for programs: the service's own, or `unreachable`, `untrusted`,
            `timed-out`, `cut-off`, `unreadable-answer`, `too-large`, `closed`.
        detail: What is wrong.
        hint: What to do.
        retryable: Whether the same request may succeed later without a change.
        request_id: The occurrence, as the service's log names it; None where it named none.
        retry_after: Seconds that the service asks to wait; None where it says nothing.
    """

    code = "api"
    status = 502

    def __init__(
        self,
        *,
        status: int,
        code: str,
        detail: str,
        hint: str,
        retryable: bool = False,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(detail, hint=hint)
        # the tree says these by class; a service says them with every answer
        vars(self).update(status=status, code=code, retryable=retryable)
        self.request_id = request_id
        self.retry_after = retry_after

    @property
    def detail(self) -> str:
        """What is wrong: `fact` by its name on the wire."""
        return self.fact


def filled(kind: type[Model], **fields: Any) -> Model:
    """A request made of what somebody typed; a wrong field is an error like the service's own.

    Raises:
        ApiError: `invalid-request`, with the fields that are wrong.
    """
    try:
        return kind.model_validate(fields)
    except ValidationError as exc:
        raise ApiError(
            status=400,
            code="invalid-request",
            detail=_faults(exc),
            hint="Correct the named fields.",
        ) from exc


def parsed(kind: type[Model], body: bytes | str) -> Model:
    """An answer as its wire model; members that a newer service added are left out.

    Raises:
        ApiError: `unreadable-answer`: this is not what the schema says.
    """
    try:
        return kind.model_validate_json(body, extra="ignore")
    except ValidationError as exc:
        raise ApiError(
            status=502,
            code="unreadable-answer",
            detail=f"the answer is no {kind.__name__}: {_faults(exc)}",
            hint=f"This client is rag-adapt {__version__}; run the service in the same version.",
        ) from exc


def refused(status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
    """What a response with an error status says: a problem document, or whatever stands between."""
    document = _document(body)
    return problem(document, status=status, retry_after=_seconds(headers.get("retry-after")))


def problem(
    document: Mapping[str, Any], *, status: int = 502, retry_after: float | None = None
) -> ApiError:
    """A problem document (RFC 9457) as an exception; what it does not say is filled in."""
    told = document.get("status")
    status = told if isinstance(told, int) and 400 <= told <= 599 else status
    return ApiError(
        status=status,
        code=_text(document, "code") or "http-status",
        detail=_text(document, "detail") or f"the answer was {status} {_phrase(status)}".rstrip(),
        hint=_text(document, "hint") or "Look whether this is the address of a rag-adapt service.",
        retryable=document.get("retryable", status in (429, 503)) is True,
        request_id=_text(document, "instance"),
        retry_after=retry_after,
    )


@contextmanager
def translated(base_url: str) -> Iterator[None]:
    """Transport errors as `ApiError`.

    Raises:
        ApiError: `unreachable`, `untrusted`, `timed-out` or `cut-off`.
    """
    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout) as exc:
        raise (_untrusted if _of_tls(exc) else _unreachable)(base_url) from exc
    except httpx.TimeoutException as exc:
        raise ApiError(
            status=504,
            code="timed-out",
            detail=f"the service at {base_url} did not answer in time",
            hint="It may be busy or loading its model: look at GET /readyz, and ask again later.",
            retryable=True,
        ) from exc
    except httpx.HTTPError as exc:
        raise cut_off(base_url) from exc


def cut_off(base_url: str) -> ApiError:
    """The connection ended before the answer did."""
    return ApiError(
        status=502,
        code="cut-off",
        detail=f"the connection to {base_url} ended in the middle of an answer",
        hint="Ask again; if the service has stopped, its log says why.",
        retryable=True,
    )


def too_large(what: str, limit: int) -> ApiError:
    """More than a client holds in memory."""
    return ApiError(
        status=502,
        code="too-large",
        detail=f"{what} is larger than {limit} bytes",
        hint="Ask for less of it at once, or fetch it with another program.",
    )


def closed() -> ApiError:
    """Somebody closed the client."""
    return ApiError(
        status=503,
        code="closed",
        detail="this client was closed",
        hint="Make another `Client`.",
    )


def _unreachable(base_url: str) -> ApiError:
    place = urlsplit(base_url)
    port = "" if place.port in (None, 8000) else f" --port {place.port}"
    if place.hostname in LOOPBACK:
        hint = f"Start it: `rag-adapt serve{port}` (or `make serve`)."
    else:
        hint = (
            f"Start it on that machine: `rag-adapt serve --host {place.hostname}{port}`, and look "
            "whether a firewall stands between."
        )
    return ApiError(
        status=503,
        code="unreachable",
        detail=f"no service answers at {base_url}",
        hint=hint,
        retryable=True,
    )


def _untrusted(base_url: str) -> ApiError:
    return ApiError(
        status=502,
        code="untrusted",
        detail=f"the certificate of {base_url} is not trusted, or it does not speak TLS",
        hint="For a certificate of your own: Client(address, "
        "tls=ssl.create_default_context(cafile='ca.pem')).",
    )


def _of_tls(error: BaseException | None) -> bool:
    """Whether it began with TLS: transports wrap each other's errors."""
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__cause__ or error.__context__
    return error is not None


def _document(body: bytes) -> Mapping[str, Any]:
    """The body as a problem document; a foreign one becomes a detail."""
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    if isinstance(found, dict):
        return found
    text = re.sub(r"<[^>]*>|\s+", " ", body[:2000].decode("utf-8", "replace"))
    words = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return {"detail": words[:SHOWN]} if words else {}


def _faults(error: ValidationError) -> str:
    """Which field and why; the values themselves stay out."""
    found = error.errors(include_input=False, include_url=False, include_context=False)
    named = [f"{'.'.join(map(str, e['loc'])) or 'body'}: {e['msg']}" for e in found[:SHOWN_FAULTS]]
    more = len(found) - len(named)
    return "; ".join(named) + (f"; and {more} more" if more else "")


def _text(document: Mapping[str, Any], name: str) -> str | None:
    found = document.get(name)
    return found if isinstance(found, str) and found else None


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _seconds(sent: str | None) -> float | None:
    return float(sent) if sent is not None and re.fullmatch(r"\d{1,6}", sent.strip()) else None
