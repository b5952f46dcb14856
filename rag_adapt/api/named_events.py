"""Server-sent events that have a name and a place, so that a reader knows them apart.

It does not know what they say.
"""

from typing import Any, Final

from rag_adapt.api.streaming import DONE

END: Final = f"{DONE}\nevent: done"
"""The last event of a stream that came to its end."""


def named(name: str, data: str, *, place: int | None = None) -> str:
    """One event for an `EventStream`, which writes the data first: fields stand in any order.

    Args:
        name: What a browser's `addEventListener` is called with.
        data: One line.
        place: What `Last-Event-ID` says when the reader comes back after this event.
    """
    where = "" if place is None else f"\nid: {place}"
    return f"{data}\nevent: {name}{where}"


def described(example: str, *names: str, status: int = 200) -> dict[int | str, dict[str, Any]]:
    """The `responses=` entry of a stream of such events."""
    event = {
        "type": "object",
        "description": f"One event: `event` is one of {', '.join(names)} or done, `data` is JSON, "
        f"and `{DONE}` in the last one.",
        "required": ["event", "data"],
        "properties": {name: {"type": "string"} for name in ("event", "data", "id")},
    }
    content = {"text/event-stream": {"schema": event, "example": example}}
    return {status: {"description": "OK", "content": content}}
