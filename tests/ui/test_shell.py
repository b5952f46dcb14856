"""The frame of the front end: pages, signing in, a service that is not there."""

import pytest

from tests.client.parts import free_port
from tests.ui.parts import page, ran, read, words
from ui.connection import ADDRESS


def test_a_service_that_is_not_there_is_named_with_the_command_that_starts_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port = free_port()
    monkeypatch.setenv(ADDRESS, f"http://127.0.0.1:{port}")
    with page() as test:
        assert f"no service answers at http://127.0.0.1:{port}" in words(test)
        assert f"`rag-adapt serve --port {port}`" in words(test)
        assert [read(one.label) for one in test.button] == ["Try again"]


def test_pages_follow_each_other(address: str) -> None:
    with page() as test:
        assert [one.value for one in test.title] == ["Chat"]
        test.switch_page("views/system.py")
        assert [one.value for one in ran(test).title] == ["System"]
