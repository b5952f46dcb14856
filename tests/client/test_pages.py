"""Lists that come in pages are read as one."""

from dataclasses import dataclass

from rag_adapt.client.pages import entries


@dataclass(frozen=True, kw_only=True)
class Some:
    """A page."""

    data: list[int]
    next: str | None


PAGES = {
    None: Some(data=[1, 2], next="b"),
    "b": Some(data=[], next="c"),
    "c": Some(data=[3], next=None),
}


def test_entries_of_all_pages_follow_each_other() -> None:
    assert list(entries(lambda cursor: PAGES[cursor])) == [1, 2, 3]


def test_a_page_is_fetched_when_its_first_entry_is_wanted() -> None:
    asked: list[str | None] = []

    def page(cursor: str | None) -> Some:
        asked.append(cursor)
        return PAGES[cursor]

    found = entries(page)
    assert asked == []
    assert (next(found), next(found)) == (1, 2)
    assert asked == [None]


def test_a_page_that_names_itself_is_the_last() -> None:
    assert list(entries(lambda cursor: Some(data=[1], next="same"))) == [1, 1]
