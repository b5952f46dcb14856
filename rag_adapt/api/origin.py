"""What a request without a key must look like: from this machine, and not from a web page.

It does not know keys. Any page in a browser can send requests to a local port; it cannot choose
their Host, Origin or Sec-Fetch-Site, nor send JSON or a header of ours without asking first.
"""

import re
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final

from starlette.datastructures import Headers

from rag_adapt.api.problems import ApiProblem, clipped

OUR_HEADER: Final = "x-rag-adapt"
"""Must be `1` on uploads: a form on a web page cannot add it."""
LOCAL_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
HOST: Final = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]/@\s]+)(?::\d{1,5})?", re.IGNORECASE)
WITHOUT_KEY: Final = (
    "Call it from this machine as http://127.0.0.1:PORT, or make a key "
    "(`rag-adapt keys create NAME --scope chat`) and send it."
)


def is_loopback(host: str) -> bool:
    """Whether a server bound to this address can be reached from this machine alone."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_origin(headers: Headers, *, bound: str) -> None:
    """Refuse a request that a web page could have sent, or that names another host.

    Args:
        headers: Of the request.
        bound: The loopback address that the server listens on.

    Raises:
        ApiProblem: 421 for the host, 403 for the origin.
    """
    hosts = headers.getlist("host")
    if len(hosts) != 1 or not _is_ours(hosts[0], bound=bound):
        raise ApiProblem(
            status=421,
            code="foreign-host",
            detail=f"this service does not answer for the host {clipped(', '.join(hosts))!r}",
            hint=WITHOUT_KEY,
        )
    origins = headers.getlist("origin")
    if any(origin.lower() != f"http://{hosts[0].lower()}" for origin in origins):
        raise _foreign(f"the origin {clipped(', '.join(origins))!r}")
    site, mode = headers.get("sec-fetch-site"), headers.get("sec-fetch-mode")
    if site in ("cross-site", "same-site") and mode != "navigate":
        raise _foreign("a page of another site")


def check_content_type(headers: Headers, *, upload: bool) -> None:
    """Refuse a body that is neither JSON nor an upload with our header.

    Args:
        headers: Of the request.
        upload: Whether the operation reads uploads.

    Raises:
        ApiProblem: 415 for the type, 403 for an upload without the header.
    """
    sent = headers.get("content-type", "")
    kind = media_type(sent)
    if kind == "application/json" or re.fullmatch(r"application/[\w.-]+\+json", kind):
        return
    if kind != "multipart/form-data" or not upload:
        raise ApiProblem(
            status=415,
            code="unsupported-media-type",
            detail=f"a body of the type {clipped(sent)!r} is not read",
            hint="Send JSON with `Content-Type: application/json`"
            f"{', files with `multipart/form-data`' if upload else ''}.",
            headers={"Accept": f"application/json{', multipart/form-data' if upload else ''}"},
        )
    if headers.get(OUR_HEADER) != "1":
        raise ApiProblem(
            status=403,
            code="upload-header-missing",
            detail="an upload came without the header X-Rag-Adapt",
            hint="Send `X-Rag-Adapt: 1` with uploads; it shows that no web page sent them.",
        )


def media_type(content_type: str) -> str:
    """`Type/Subtype; parameters` without the parameters, in lower case."""
    return content_type.split(";", 1)[0].strip().lower()


def _is_ours(host: str, *, bound: str) -> bool:
    found = HOST.fullmatch(host)
    allowed: Iterable[str] = {*LOCAL_NAMES, bound.lower()}
    return found is not None and found[1].lower() in allowed


def _foreign(who: str) -> ApiProblem:
    return ApiProblem(
        status=403,
        code="foreign-origin",
        detail=f"{who} may not use this service without a key",
        hint=WITHOUT_KEY,
    )
