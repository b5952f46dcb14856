"""The page in a real browser, with answers that would like to be more than text."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import pytest

from rag_adapt.bench.figures import Pair, Report
from rag_adapt.bench.page.document import chart_library, write_page
from rag_adapt.bench.page.markup import KEPT
from rag_adapt.bench.store import AnswerRow
from tests.bench.page_samples import report

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")

HOSTILE: Final = (
    "</script><script>window.pwned=1</script>",
    "<img src=x onerror='window.pwned=2'><iframe src='http://127.0.0.1:9/'></iframe>",
    "<!--<script>window.pwned=3</script>",
    "javascript:window.pwned=4",
    "[click](javascript:window.pwned=5) <a href='http://127.0.0.1:9/'>x</a>",
    '=cmd()|" onmouseover="window.pwned=6',
    "one\u2028two\u2029three \u202egnitirw desrever\u202c",
    "<style>body{display:none}</style><meta http-equiv=refresh content='0;url=http://127.0.0.1:9'>",
    "long " * 20_000,
    "]]></svg><svg onload=window.pwned=7>",
)
EVIL_NAME: Final = "</script><img src=x onerror=window.pwned=8>"


def hostile() -> tuple[Report, list[AnswerRow]]:
    """A report in which every text that is not ours tries to break out."""
    whole, rows = report(["tickets"], n=30)
    evil = [
        one.model_copy(
            update={
                "skill": EVIL_NAME,
                "item": f"{one.item}{HOSTILE[0]}",
                "input": HOSTILE[place % len(HOSTILE)],
                "target": f"{one.target}{HOSTILE[1]}",
                "targets": (f"{one.target}{HOSTILE[1]}",),
                "output": HOSTILE[(place + 1) % len(HOSTILE)],
                "extracted": one.extracted and f"={one.extracted}{HOSTILE[0]}",
            }
        )
        for place, one in enumerate(rows)
    ]
    text = whole.model_dump_json().replace("tickets", EVIL_NAME.replace('"', '\\"'))
    found = Report.model_validate_json(text)
    extra = Pair.model_validate(found.pairs[0].model_dump() | {"test": HOSTILE[0]})
    run = found.run | {"command": HOSTILE[0], "evil": {HOSTILE[1]: HOSTILE[6]}}
    return found.model_copy(update={"pairs": (*found.pairs, extra), "run": run}), evil


@dataclass
class Opened:
    """A page in the browser and what it did."""

    page: "Page"
    messages: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        launched = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    path = folder / "report.html"
    found, rows = hostile()
    write_page(found, lambda: rows, path, library=lambda: chart_library(folder))
    return path


@pytest.fixture(scope="module", params=["light", "dark"])
def opened(browser: "Browser", written: Path, request: pytest.FixtureRequest) -> Iterator[Opened]:
    scheme: Literal["light", "dark"] = request.param
    context = browser.new_context(
        color_scheme=scheme, viewport={"width": 390 if scheme == "dark" else 1200, "height": 900}
    )
    found = Opened(page=context.new_page())
    context.route(
        lambda url: not url.startswith(("file:", "data:")),
        lambda route: route.abort(),
    )
    found.page.on("console", lambda message: found.messages.append(message.text))
    found.page.on("pageerror", lambda error: found.messages.append(str(error)))
    found.page.on("request", lambda request: found.requests.append(request.url))
    found.page.goto(written.as_uri())
    found.page.wait_for_selector("html[data-ready]")
    yield found
    context.close()


def open_all(page: "Page") -> int:
    """Open every folded part, wait until each chart is drawn, and return how many there are."""
    page.evaluate("document.querySelectorAll('details').forEach((part) => (part.open = true))")
    page.wait_for_function(
        "[...document.querySelectorAll('figure')].every((f) => f.dataset.drawn === 'yes')"
    )
    return page.locator("figure").count()


def test_the_page_is_keyboard_reachable_from_its_start(opened: Opened) -> None:
    page = opened.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the answers"
    page.locator("summary").first.focus()
    page.keyboard.press("Enter")
    assert page.locator("details").first.evaluate("(part) => part.open")


def test_hostile_texts_run_nothing_load_nothing_and_every_chart_is_drawn(
    opened: Opened, written: Path
) -> None:
    page = opened.page
    charts = open_all(page)
    # scores, differences, cost, four confusions, retrieval, doses, learning, latency
    assert charts == 11
    assert page.locator("figure .chart svg").count() == charts
    for width in page.locator("figure .chart svg").evaluate_all(
        "found => found.map((svg) => svg.getBoundingClientRect().width)"
    ):
        assert width > 200
    assert page.evaluate("window.pwned") is None
    assert opened.messages == []
    assert opened.requests == [written.as_uri()]
    for forbidden in ("img", "iframe", "body style", "main a[href^=http]", "a[href^=javascript]"):
        assert page.locator(forbidden).count() == 0, forbidden
    wide = page.evaluate(
        "[...document.querySelectorAll('main *')].filter((one) => !one.closest('.scroll, .chart')"
        " && one.getBoundingClientRect().right > innerWidth).map((one) => one.outerHTML)"
    )
    assert wide == []


def test_light_and_dark_have_colours_of_their_own(opened: Opened, browser: "Browser") -> None:
    dark = opened.page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    paper = opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(20, 22, 26)" if dark else "rgb(250, 249, 246)")
    label = opened.page.locator("figure .chart svg text").first
    assert label.evaluate("(text) => getComputedStyle(text).fill") == (
        "rgb(161, 167, 176)" if dark else "rgb(97, 104, 113)"
    )


def test_hostile_texts_stand_on_the_page_as_they_are(opened: Opened) -> None:
    open_all(opened.page)
    shown = opened.page.locator("main").inner_text()
    assert HOSTILE[0] in shown
    assert HOSTILE[3] in shown
    assert "oneU+2028twoU+2029three U+202Egnitirw desreverU+202C" in shown
    assert f"{KEPT:,} of 100,000 characters" in shown
    assert EVIL_NAME in opened.page.locator("h2").first.inner_text()


def test_tooltips_and_downloads_work_under_the_pages_own_rules(
    opened: Opened, tmp_path: Path
) -> None:
    page = opened.page
    point = page.locator("figure .chart svg path[aria-roledescription=point]").first
    tooltip = page.locator("#vg-tooltip-element.visible")
    for _ in range(10):  # a chart that is still being laid out moves away from under the pointer
        page.mouse.move(0, 0)
        point.hover(force=True)
        page.wait_for_timeout(500)
        if tooltip.count():
            break
    assert "prompt" in page.locator("#vg-tooltip-element").inner_text()
    for locator, beginning in (
        (page.get_by_text("Data (CSV)").first, b"arm,"),
        (page.get_by_role("button", name="as SVG").first, b"<svg"),
        (page.get_by_role("button", name="as PNG").first, b"\x89PNG"),
    ):
        with page.expect_download() as waiting:
            locator.click()
        saved = tmp_path / waiting.value.suggested_filename
        waiting.value.save_as(saved)
        assert saved.read_bytes().startswith(beginning)
        assert b"var(--" not in saved.read_bytes()
    assert opened.messages == []


def test_a_spreadsheet_gets_no_formula(opened: Opened) -> None:
    hrefs = opened.page.locator("a[download$=confusion\\.csv]").evaluate_all(
        "found => found.map((link) => decodeURIComponent(link.href))"
    )
    assert len(hrefs) == 4
    assert all(",=" not in text and "\n=" not in text for text in hrefs)
    assert any("'=" in text for text in hrefs)
