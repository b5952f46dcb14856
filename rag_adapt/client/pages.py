"""Lists that come in pages, read as one.

It does not know what is listed.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

Entry = TypeVar("Entry")
Listed = TypeVar("Listed", covariant=True)


class Page(Protocol[Listed]):
    """One page of a list."""

    @property
    def data(self) -> Sequence[Listed]:
        """Its entries."""
        ...

    @property
    def next(self) -> str | None:
        """`cursor` of the next page; None on the last one."""
        ...


def entries(page: Callable[[str | None], Page[Entry]]) -> Iterator[Entry]:
    """The entries of all pages, each page fetched when its first entry is wanted.

    Args:
        page: Fetches the page that begins at a cursor.
    """
    cursor: str | None = None
    while True:
        found = page(cursor)
        yield from found.data
        if found.next is None or found.next == cursor:
            return
        cursor = found.next
