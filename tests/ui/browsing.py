"""Chromium on the pages as `rag-adapt ui` serves them: what it shows, asks for and complains of."""

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

from tests.client.parts import free_port

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

ROOT: Final = Path(__file__).parents[2]
CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser")
REQUIRED: Final = os.environ.get("RAG_ADAPT_REQUIRE_BROWSER") == "1"
UPDATE: Final = os.environ.get("RAG_ADAPT_UPDATE_SCREENSHOTS") == "1"
"""Whether the pictures of the README are made anew."""
PICTURES: Final = ROOT / "docs" / "images"
LARGEST: Final = 250_000
"""Bytes of a picture."""
MILLISECONDS: Final = 90_000
WIDE: Final = 1280
PHONE: Final = 390
HEIGHT: Final = 900
Scheme = Literal["light", "dark"]
NAMELESS: Final = """() => [...document.querySelectorAll(
    '.stMain :is(button, input, textarea, [role=combobox], [role=button])')]
  .filter(one => one.checkVisibility() && one.tabIndex >= 0 && one.type !== 'file')
  .filter(one => ![one.ariaLabel, one.innerText, one.title, one.placeholder,
    ...[...(one.labels || [])].map(label => label.innerText),
    ...(one.getAttribute('aria-labelledby') || '').split(' ').map(
      id => id && document.getElementById(id)?.innerText)].some(text => text?.trim()))
  .map(one => one.outerHTML.slice(0, 200))"""
"""What the keyboard reaches on a page and no name is read out for."""
PALE: Final = """() => {
  const parsed = text => {
    const [red, green, blue, opacity] = text.match(/[\\d.]+/g).map(Number);
    const scale = text.startsWith('color(') ? 255 : 1;
    return [red * scale, green * scale, blue * scale, opacity ?? 1];
  };
  const over = (upper, lower) =>
    [0, 1, 2].map(at => upper[3] * upper[at] + (1 - upper[3]) * lower[at]).concat(1);
  const behind = one => {
    const layers = [];
    for (let at = one; at; at = at.parentElement) {
      layers.push(parsed(getComputedStyle(at).backgroundColor));
    }
    return layers.reduceRight((lower, upper) => over(upper, lower), [255, 255, 255, 1]);
  };
  const lightness = colour => {
    const [red, green, blue] = colour.map(value => value / 255).map(
      value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const contrast = one => {
    const below = behind(one), above = over(parsed(getComputedStyle(one).color), below);
    const [low, high] = [lightness(above), lightness(below)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  return [...document.querySelectorAll('.stApp *')]
    .filter(one => [...one.childNodes].some(node => node.nodeType === 3 && node.data.trim()))
    .filter(one => one.checkVisibility({opacityProperty: true, visibilityProperty: true}))
    .filter(one => !one.closest(
      'svg, canvas, [disabled], [aria-disabled=true], [data-testid=stIconMaterial]'))
    .filter(one => one.offsetWidth > 1 && contrast(one) < 4.5)
    .map(one => `${contrast(one).toFixed(2)}: ${one.innerText.slice(0, 80)}`);
}"""
"""Texts whose contrast to what is behind them is below that of WCAG 2 AA, 4.5:1."""
DRAWN: Final = """async () => {
  const enough = new Promise(done => setTimeout(done, 5000));
  const frame = () => Promise.race([new Promise(requestAnimationFrame), enough]);
  await frame(); await frame();
  const moving = document.getAnimations()
    .filter(one => one.effect.getComputedTiming().endTime < 2000)
    .map(one => one.finished.catch(() => null));
  await Promise.race([Promise.all(moving), enough]);
}"""
"""Two frames later, and when what moved has come to rest; after 5 s it is as it is: a page that is
not drawn has no frames, and what is paused never ends."""


@dataclass
class Opened:
    """A page in the browser and what it did."""

    page: "Page"
    folder: Path
    """Where its screenshots go."""
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

    def settle(self) -> None:
        """Wait until the page's script has ended and everything is drawn."""
        self.page.locator("[data-test-script-state=notRunning]").wait_for()
        self._until("!document.querySelector('[data-testid=stSkeleton]')")

    def turn_to(self, name: str) -> None:
        """Another page, by the list of them."""
        self.page.get_by_test_id("stSidebarNav").get_by_role("link", name=name).click()
        self.page.get_by_role("heading", name=name, exact=True).wait_for()
        self.settle()

    def looks(self, name: str) -> None:
        """Both themes, wide and narrow: pictures of it, nothing pale, nothing beyond the edge."""
        self.settle()
        for scheme, width in (("light", WIDE), ("dark", WIDE), ("dark", PHONE)):
            self._as(scheme, width)  # type: ignore[arg-type]
            self.page.screenshot(path=self.folder / f"{name}-{scheme}-{width}.png")
            paper = self.page.evaluate(
                "getComputedStyle(document.querySelector('.stApp')).backgroundColor"
            )
            darkness = sum(map(int, paper.strip("rgba()").split(",")[:3]))
            assert (darkness < 380) == (scheme == "dark"), (name, scheme)
            pale = self.page.evaluate(PALE)
            assert not pale, (name, scheme, pale)
            assert self.page.evaluate(
                "[document.documentElement, document.querySelector('.stMain')]"
                ".every(one => one.scrollWidth <= one.clientWidth)"
            ), (name, width)
        self._as("light", WIDE)
        self.unarmed()

    def nameless(self) -> list[str]:
        """What the keyboard reaches and no name is read out for."""
        found = self.page.evaluate(NAMELESS)
        assert isinstance(found, list)
        return found

    def unarmed(self) -> None:
        """Nothing that a stranger wrote became more than text, or went anywhere."""
        assert self.page.evaluate("window.pwned") is None
        assert self.page.locator(".stMain img").count() == 0
        assert self.page.locator("a[href*=example], img[src*=example]").count() == 0
        assert (self.messages, self.outside()) == ([], [])

    def picture(self, name: str) -> None:
        """Keep what is seen for the README, where pictures are made anew."""
        if UPDATE:
            self.settle()
            PICTURES.mkdir(exist_ok=True)
            path = PICTURES / f"{name}.png"
            self.page.screenshot(path=path)
            assert path.stat().st_size < LARGEST

    def _as(self, scheme: Scheme, width: int) -> None:
        self.page.emulate_media(color_scheme=scheme)
        self.page.set_viewport_size({"width": width, "height": HEIGHT})
        self._until(
            f"innerWidth === {width} && matchMedia('(prefers-color-scheme: {scheme})').matches"
        )
        self.page.evaluate(DRAWN)

    def _until(self, true: str) -> None:
        """Wait for it from outside: a page that may compile no text cannot be asked to watch."""
        end = time.monotonic() + MILLISECONDS / 1000
        while not self.page.evaluate(true):
            assert time.monotonic() < end, true
            time.sleep(0.05)


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
            time.sleep(0.1)
        yield url
    finally:
        try:
            process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


@contextmanager
def chromium() -> Iterator["Browser"]:
    """A browser that draws without a screen."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        launched = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@contextmanager
def opened(browser: "Browser", folder: Path) -> Iterator[Opened]:
    """A browser window that listens to its page."""
    context = browser.new_context(
        color_scheme="light",
        reduced_motion="reduce",
        viewport={"width": WIDE, "height": HEIGHT},
    )
    context.set_default_timeout(MILLISECONDS)
    found = Opened(page=context.new_page(), folder=folder)
    found.page.on(
        "console", lambda said: found.messages.append(said.text) if _is_wrong(said) else None
    )
    found.page.on("pageerror", lambda error: found.messages.append(str(error)))
    found.page.on("request", lambda request: found.requests.append(request.url))
    found.page.on("websocket", lambda socket: found.requests.append(socket.url))
    yield found
    context.close()


def _healthy(url: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(f"{url}/_stcore/health", timeout=2) as found:
        return bool(found.status == 200)
    return False


def _is_wrong(said: "ConsoleMessage") -> bool:
    """Errors, but for Streamlit's own guess where its server is at a page's address."""
    guessed = re.search(r"/[a-z]+/_stcore/(health|host-config)$", said.location["url"])
    return said.type == "error" and guessed is None
