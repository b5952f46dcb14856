"""Reports, skills, adapters and documents in a real browser, where every text wants to be more."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest
from playwright.sync_api import Error as PlaywrightError

from rag_adapt.client import Client, Upload
from rag_adapt.engines.scripted import ScriptedEngine
from tests.api.parts import app_of
from tests.client.parts import killed_at
from tests.serving.parts import HOME, imported, published, service
from tests.ui.test_benchmark import RUN, kept
from tests.ui.test_browser import HOSTILE, browser, opened, pages, port, pytestmark, settle

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["browser", "pages", "port", "pytestmark"]


@pytest.fixture
def api(port: int, own_folder: Path) -> Iterator[str]:
    """The real service with a hostile run, skill, adapter and document."""
    imported()
    published(ScriptedEngine())
    answers = HOME / "runs" / kept() / "answers.jsonl"
    text = answers.read_text().replace("where is my parcel?", HOSTILE.replace('"', ""))
    answers.write_text(text)
    with killed_at(port, app_of(service(ScriptedEngine()))):
        url = f"http://127.0.0.1:{port}"
        with Client(url) as client:
            files = [Upload(name="lamp.md", content=f"# Lamp\n\n{HOSTILE}\n".encode())]
            assert client.jobs.result(client.collections.add("manual", files).id).error is None
        yield url


def pick(page: "Page", name: str, option: str) -> None:
    """Choose from a list, again where charts that are still drawn pushed it away."""
    for _ in range(10):
        page.get_by_role("combobox", name=name).click()
        with suppress(PlaywrightError):
            page.get_by_role("option", name=option).first.click(timeout=2000)
            return
    raise AssertionError(f"{option!r} could not be chosen")


def unarmed(page: "Page") -> None:
    """Nothing that a stranger wrote became more than text."""
    assert page.evaluate("window.pwned") is None
    assert page.locator("[data-testid=stMain] img").count() == 0
    assert page.locator("[data-testid=stMain] a[href*=example]").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_run_is_read_down_to_its_items_and_documents_are_searched(
    browser: "Browser", pages: str, api: str, scheme: Literal["light", "dark"], tmp_path: Path
) -> None:
    with opened(browser, scheme) as one:
        page = one.page
        page.goto(f"{pages}/benchmark")
        page.get_by_role("button", name="Read").click()
        page.get_by_text("Use rag+lora: it is better").wait_for()
        settle(page)
        assert f"run={RUN}" in page.url
        assert page.locator("canvas, svg.marks").count() >= 6
        pick(page, "Contrast", "lora over rag: ")
        page.get_by_text("window.pwned=1").first.wait_for()
        settle(page)
        page.screenshot(path=tmp_path / f"benchmark-{scheme}.png", full_page=True)
        unarmed(page)
        page.goto(f"{pages}/collections?collection=manual")
        page.get_by_label("Look for").fill("lamp")
        page.get_by_role("button", name="Search").click()
        page.locator("mark").first.wait_for()
        unarmed(page)
        page.screenshot(path=tmp_path / f"collections-{scheme}.png", full_page=True)
        assert one.messages == []
        assert one.outside() == []


def test_every_page_opens_on_a_phone(
    browser: "Browser", pages: str, api: str, tmp_path: Path
) -> None:
    with opened(browser, width=390) as one:
        for name in ("benchmark", "skills", "adapters", "collections"):
            one.page.goto(f"{pages}/{name}")
            one.page.get_by_role("heading", name=name.capitalize(), exact=True).wait_for()
            settle(one.page)
            width = one.page.evaluate("document.documentElement.scrollWidth")
            assert width <= 390, f"{name} is {width} wide"
            one.page.screenshot(path=tmp_path / f"{name}-phone.png")
        assert one.messages == []
        assert one.outside() == []
