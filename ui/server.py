"""Streamlit's own server, whose every response tells the browser what a page may not do.

It does not know any page, nor where it listens.
"""

import re
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import streamlit
from streamlit.starlette import App

SCRIPT: Final = re.compile(rb"<script>(.*?)</script>", re.DOTALL)
"""What Streamlit's frame runs before its own files are there."""
HEADERS: Final = {
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


def serve(script: Path, settings: Mapping[str, Any]) -> None:
    """Serve until a signal.

    Args:
        script: The front end's frame.
        settings: Streamlit's, by their dotted names.
    """
    with suppress(KeyboardInterrupt):  # uvicorn has ended in order and passes the signal on
        Guarded(script).run(config=settings)


class Guarded(App):
    """The pages with headers on every response."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """See ASGI."""
        own = [(name.lower().encode(), value.encode()) for name, value in headers().items()]

        async def headed(message: Any) -> None:
            if message["type"] == "http.response.start":
                names = {name for name, _ in own}
                kept = [one for one in message.get("headers", ()) if one[0].lower() not in names]
                message = {**message, "headers": [*kept, *own]}
            await send(message)

        await super().__call__(scope, receive, headed)


@cache
def headers() -> dict[str, str]:
    """What every response carries."""
    return {"Content-Security-Policy": policy(), **HEADERS}


def policy() -> str:
    """What a page may load: what this server gives, and drawings that the page made itself.

    Charts are computed by an interpreter, so nothing may be compiled from text. Styles are written
    by Streamlit as it goes, which has no other name than `unsafe-inline`.
    """
    frame = Path(streamlit.__file__).parent / "static" / "index.html"
    scripts = [f"'sha256-{_digest(text)}'" for text in SCRIPT.findall(frame.read_bytes())]
    rules = {
        "default-src": ["'self'"],
        "script-src": ["'self'", *scripts],
        "style-src": ["'self'", "'unsafe-inline'"],
        "img-src": ["'self'", "data:", "blob:"],
        "font-src": ["'self'", "data:"],
        "connect-src": ["'self'"],
        "object-src": ["'none'"],
        "frame-src": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    }
    return "; ".join(f"{name} {' '.join(places)}" for name, places in rules.items())


def _digest(text: bytes) -> str:
    return b64encode(sha256(text).digest()).decode()
