"""Gold evidence: where an item's answer stands in the documents, and whether it was sent.

It does not know how passages are searched.
"""

from collections.abc import Sequence

from rag_adapt.core.trace import Trace
from rag_adapt.core.types import Item, Passage


def gold_passages(item: Item, documents: Sequence[Passage]) -> tuple[Passage, ...]:
    """The paragraphs (between blank lines) in which the item's gold spans stand, each once."""
    texts = {document.document: document.text for document in documents}
    found: dict[tuple[str, int, int], Passage] = {}
    for span in item.gold:
        text = texts.get(span.document, "")
        start = text.rfind("\n\n", 0, span.start) + 2 if "\n\n" in text[: span.start] else 0
        after = text.find("\n\n", span.end)
        end = len(text) if after < 0 else after
        found[(span.document, start, end)] = Passage(
            document=span.document, start=start, end=end, text=text[start:end]
        )
    return tuple(found.values())


def gold_found(item: Item, trace: Trace) -> bool | None:
    """Whether a passage that was sent holds a gold span of the item.

    Returns:
        None where the item names no gold span, or nothing was retrieved for it.
    """
    events = [event for event in trace.events if event.name == "retrieve"]
    if not item.gold or not events:
        return None
    return any(
        passage["document"] == span.document
        and passage["start"] <= span.start
        and span.end <= passage["end"]
        for passage in events[-1].detail["passages"]
        for span in item.gold
    )
