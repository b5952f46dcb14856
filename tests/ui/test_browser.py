"""The front end in a real browser, as a new user would go, with answers that want to be more."""

import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import urlsplit

import pytest

from rag_adapt.client import Client
from rag_adapt.engines.scripted import ScriptedEngine
from tests.api.parts import app_of
from tests.client.parts import free_port, killed_at
from tests.serving.parts import imported, service

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser")
REQUIRED: Final = os.environ.get("RAG_ADAPT_REQUIRE_BROWSER") == "1"
pytestmark = pytest.mark.skipif(
    CHROMIUM is None and not REQUIRED, reason="chromium is not installed"
)
ROOT: Final = Path(__file__).parents[2]
HOSTILE: Final = (
    "<img src=http://example.invalid/x> ![x](http://example.invalid) "
    "http://example.invalid/[a](http://example.invalid) <script>window.pwned=1</script>"
)
PAGES: Final = tuple(
    file.stem for file in sorted((ROOT / "ui" / "views").glob("*.py")) if file.stem != "__init__"
)
MILLISECONDS: Final = 20_000


@dataclass
class Opened:
    """A page in the browser and what it did."""

    page: "Page"
    messages: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def outside(self) -> list[str]:
        """Requests that left loopback."""
        places = ((url, urlsplit(url)) for url in self.requests)
        return [
            url
            for url, place in places
            if place.scheme not in ("data", "blob") and place.hostname != "127.0.0.1"
        ]


@contextmanager
def served(api: str) -> Iterator[str]:
    """The pages as `rag-adapt ui` serves them; hands out their address."""
    port = free_port()
    argv = [sys.executable, "-m", "ui", "--port", str(port), "--api", api, "--until-eof"]
    process = subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        end = time.monotonic() + 60
        while not _healthy(url):
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.05)
        yield url
    finally:
        process.communicate(timeout=20)


def _healthy(url: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(f"{url}/_stcore/health", timeout=2) as found:
        return bool(found.status == 200)
    return False


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        launched = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def port() -> int:
    """Of the service: each test has its own there, the pages stay."""
    return free_port()


@pytest.fixture(scope="module")
def pages(port: int) -> Iterator[str]:
    with served(f"http://127.0.0.1:{port}") as url:
        yield url


@pytest.fixture
def api(port: int, own_folder: Path) -> Iterator[str]:
    """The real service with a skill that has documents."""
    for document in (imported() / "corpus").iterdir():
        document.write_text(f"{HOSTILE}\n\n{document.read_text()}")
    engine = ScriptedEngine(lambda call: HOSTILE)
    with killed_at(port, app_of(service(engine))):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def opened(
    browser: "Browser", scheme: Literal["light", "dark"] = "light", width: int = 1200
) -> Iterator[Opened]:
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
    context.set_default_timeout(MILLISECONDS)
    found = Opened(page=context.new_page())
    found.page.on(
        "console",
        lambda said: found.messages.append(said.text) if is_wrong(said) else None,
    )
    found.page.on("pageerror", lambda error: found.messages.append(str(error)))
    found.page.on("request", lambda request: found.requests.append(request.url))
    yield found
    context.close()


def is_wrong(said: "ConsoleMessage") -> bool:
    """Errors, but for Streamlit's own guess where its server is at a page's address."""
    guessed = re.search(r"/[a-z]+/_stcore/(health|host-config)$", said.location["url"])
    return said.type == "error" and guessed is None


def ask(page: "Page", question: str) -> None:
    page.get_by_test_id("stChatInputTextArea").fill(question)
    page.keyboard.press("Enter")


def settle(page: "Page") -> None:
    """Wait until the page's script has ended and everything is drawn."""
    page.locator("[data-test-script-state=notRunning]").wait_for()
    page.wait_for_function("!document.querySelector('[data-testid=stSkeleton]')")


def choose(page: "Page", skill: str) -> None:
    page.get_by_role("combobox", name="Skill").click()
    page.get_by_role("option", name=skill, exact=True).click()


def test_a_new_user_asks_opens_a_citation_votes_and_finds_it_again(
    browser: "Browser", pages: str, api: str, tmp_path: Path
) -> None:
    with opened(browser) as seen, Client(api) as client:
        page = seen.page
        page.goto(pages)
        choose(page, "colours")
        page.get_by_role("button", name="rag", exact=True).wait_for()
        ask(page, f"Which colour has thing number 1?\n{HOSTILE}")
        page.get_by_text("to first token").nth(1).wait_for()
        page.get_by_text("Passages (").click()
        page.get_by_role("button", name="1. ").first.click()
        marked = page.locator("mark").text_content()
        (kept,) = client.conversations.all()
        turn = client.conversations.show(kept.id).turns[0]
        cited = turn.generations[1].answer
        assert cited is not None
        assert HOSTILE in cited.rag_adapt.citations[0].text
        assert marked == cited.rag_adapt.citations[0].text
        page.keyboard.press("Escape")
        page.locator("mark").wait_for(state="detached")
        page.get_by_role("radio", name="Thumbs up").first.click()
        page.get_by_text("Noted.").wait_for()
        assert [one.vote for one in client.feedback.all()] == ["up"]
        page.reload()
        page.get_by_text("to first token").nth(1).wait_for()
        settle(page)
        page.screenshot(path=tmp_path / "chat-answers.png", full_page=True)
        shown = page.get_by_test_id("stAppViewContainer").inner_text()
        assert shown.count(HOSTILE) == 3  # the question, and what two routes made of it
        assert page.evaluate("window.pwned") is None
        assert page.locator("a[href*=example], img[src*=example]").count() == 0
        assert seen.messages == []
        assert seen.outside() == []


@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 390)])
def test_every_page_opens_in_both_themes_wide_and_narrow(
    browser: "Browser",
    pages: str,
    api: str,
    tmp_path: Path,
    scheme: Literal["light", "dark"],
    width: int,
) -> None:
    with opened(browser, scheme, width=width) as seen:
        page = seen.page
        for name in PAGES:
            page.goto(pages if name == "chat" else f"{pages}/{name}")
            page.get_by_role("heading", name=name.title(), exact=True).wait_for()
            settle(page)
            page.screenshot(path=tmp_path / f"{name}-{scheme}.png", full_page=True)
            paper = page.evaluate(
                "getComputedStyle(document.querySelector('.stApp')).backgroundColor"
            )
            darkness = sum(map(int, paper.strip("rgba()").split(",")[:3]))
            assert (darkness < 380) == (scheme == "dark"), name
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
            assert (seen.messages, seen.outside()) == ([], []), name
