"""A new user's whole way through the pages in a real browser, among texts that want to be more."""

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from playwright.sync_api import Error as PlaywrightError

from rag_adapt.api.desk import Desk
from rag_adapt.client import Client, Upload
from rag_adapt.core.types import Call
from rag_adapt.engines.scripted import ScriptedEngine
from tests.api.parts import SETTINGS, app_of
from tests.client.parts import finished, free_port, killed_at
from tests.serving.parts import HOME, imported, published, service
from tests.ui.browsing import CHROMIUM, REQUIRED, Opened, chromium, opened, served
from tests.ui.test_benchmark import RUN, kept

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.skipif(
    CHROMIUM is None and not REQUIRED, reason="chromium is not installed"
)
HOSTILE: Final = (
    "<img src=http://example.invalid/x> ![x](http://example.invalid) "
    "http://example.invalid/[a](http://example.invalid) <script>window.pwned=1</script>"
)
QUESTION: Final = "Which colour has thing number 1?"
SUMS: Final = "\n".join(
    ["question,answer"]
    + [f"{HOSTILE if n % 12 == 5 else ''} What is {n} plus 1?,{n + 1}" for n in range(24)]
)


@dataclass
class Place:
    """A service with pages before it."""

    api: str
    pages: str
    desk: Desk
    """Its jobs wait until somebody starts their runner."""
    client: Client


@pytest.fixture
def place(own_folder: Path) -> Iterator[Place]:
    """A skill with hostile documents and an adapter, and a finished run with hostile answers."""
    for document in (imported() / "corpus").iterdir():
        document.write_text(f"{HOSTILE}\n\n{document.read_text()}")
    engine = ScriptedEngine(_said)
    published(engine, weights_hash=engine.fingerprint.weights)
    answers = HOME / "runs" / kept() / "answers.jsonl"
    text = answers.read_text().replace("where is my parcel?", HOSTILE.replace('"', ""))
    answers.write_text(text)
    desk = Desk.of(SETTINGS)
    start, desk.runner.start = desk.runner.start, lambda: None  # type: ignore[method-assign]
    port = free_port()
    api = f"http://127.0.0.1:{port}"
    with killed_at(port, app_of(service(engine), desk=desk)), served(api) as pages:
        desk.runner.start = start  # type: ignore[method-assign]
        with Client(api) as client:
            yield Place(api=api, pages=pages, desk=desk, client=client)


def _said(call: Call) -> str:
    """What a hostile question deserves; else right where documents or an adapter help."""
    asked = call.messages[-1].content.rstrip()
    if asked.endswith(HOSTILE):
        return HOSTILE
    return "blue" if call.adapter is not None or "number 1 is blue" in asked else "red"


def test_a_new_user_finds_out_which_route_to_use(place: Place, tmp_path: Path) -> None:
    with chromium() as browser, opened(browser, tmp_path) as seen:
        seen.page.goto(place.pages)
        asks_three_routes(seen, place)
        opens_a_citation(seen, place)
        goes_by_keyboard(seen)
        votes_and_reloads(seen, place)
        imports_a_skill(seen)
        job = starts_a_benchmark(seen, place)
        reads_the_verdict(seen, place, job)
        reads_a_run_down_to_its_items(seen)
        searches_documents(seen, place)
        looks_at_the_rest(seen)


def asks_three_routes(seen: Opened, place: Place) -> None:
    page = seen.page
    page.get_by_text("Your conversations will be listed here.").wait_for()
    seen.settle()
    pick(page, "Skill", "colours")
    page.get_by_role("button", name="rag", exact=True).wait_for()
    seen.looks("chat-empty")
    assert seen.nameless() == []
    ask(page, f"{QUESTION}\n{HOSTILE}")
    page.get_by_text("to first token").nth(2).wait_for()
    seen.settle()
    for said in ("s of computing", "tokens in"):
        assert page.get_by_text(said).count() == 3
    assert page.get_by_text("proven active").count() == 1
    assert page.get_by_text("adapter colours, weights ").count() == 1
    shown = page.get_by_test_id("stAppViewContainer").inner_text()
    assert shown.count(HOSTILE) == 4  # the question, and what three routes made of it
    seen.unarmed()


def opens_a_citation(seen: Opened, place: Place) -> None:
    page = seen.page
    (talk,) = place.client.conversations.all()
    cited = place.client.conversations.show(talk.id).turns[0].generations[1].answer
    assert cited is not None
    page.get_by_text("Passages (").click()
    page.get_by_role("button", name="1. ").first.click()
    assert page.locator("mark").text_content() == cited.rag_adapt.citations[0].text
    assert HOSTILE in cited.rag_adapt.citations[0].text
    seen.unarmed()
    page.keyboard.press("Escape")
    page.locator("mark").wait_for(state="detached")


def goes_by_keyboard(seen: Opened) -> None:
    """From the question to the first trace and back without a pointer."""
    page = seen.page
    page.get_by_role("button", name="Edit").focus()
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.innerText").endswith("Trace"):
            break
    page.keyboard.press("Enter")
    page.get_by_text("Sent to the model").wait_for()
    page.keyboard.press("Escape")
    page.get_by_text("Sent to the model").wait_for(state="detached")


def votes_and_reloads(seen: Opened, place: Place) -> None:
    page = seen.page
    page.get_by_role("radio", name="Thumbs up").first.click()
    page.get_by_text("Noted.").wait_for()
    assert [one.vote for one in place.client.feedback.all()] == ["up"]
    page.reload()
    page.get_by_text("to first token").nth(2).wait_for()
    seen.looks("chat")
    assert seen.nameless() == []
    page.get_by_role("button", name="New conversation").click()
    seen.settle()
    pick(page, "Skill", "colours")
    page.get_by_role("button", name="rag", exact=True).wait_for()
    ask(page, QUESTION)
    page.get_by_text("to first token").nth(2).wait_for()
    seen.picture("chat")


def imports_a_skill(seen: Opened) -> None:
    page = seen.page
    seen.turn_to("Skills")
    page.locator("input[type=file]").first.set_input_files(
        {"name": "sums.csv", "mimeType": "text/csv", "buffer": SUMS.encode()}
    )
    page.get_by_role("textbox", name="Name of the skill").fill("sums")
    page.get_by_role("button", name="Import", exact=True).click()
    page.get_by_text("Imported: 24 rows").first.wait_for()
    seen.picture("skills")
    seen.looks("skills")


def starts_a_benchmark(seen: Opened, place: Place) -> str:
    page = seen.page
    seen.turn_to("Benchmark")
    pick_also(page, "Skills", "sums")
    clear(page, "Arms")
    pick_also(page, "Arms", "prompt: ")
    pick_also(page, "Arms", "few-shot: ")
    page.get_by_role("button", name="Plan", exact=True).click()
    page.get_by_text("a difference of").first.wait_for()
    page.get_by_role("button", name="Start", exact=True).click()
    page.get_by_text("It waits for its turn").first.wait_for()
    (job,) = place.client.jobs.page().data
    assert job.id in page.url
    place.desk.runner.start()
    end = time.monotonic() + 60
    while place.client.jobs.show(job.id).state == "queued":
        assert time.monotonic() < end
        time.sleep(0.05)
    page.reload()
    return job.id


def reads_the_verdict(seen: Opened, place: Place, job: str) -> None:
    page = seen.page
    page.get_by_role("button", name="Read the report").click()
    (run,) = [one.id for one in place.client.runs.all() if "sums" in one.skills]
    (advice,) = place.client.runs.report(run).recommendations
    page.get_by_text(advice.sentence[:40]).first.wait_for()
    page.get_by_text("Downloads").click()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="report.html").click()
    assert Path(waiting.value.path()).read_text().startswith("<!doctype html>")
    seen.looks("verdict")


def reads_a_run_down_to_its_items(seen: Opened) -> None:
    """Every part of a report that has all of them: its charts, and what turned."""
    page = seen.page
    page.get_by_role("button", name="All runs").click()
    page.locator(f".st-key-read-{RUN} button").click()
    page.get_by_text("Use rag+lora: it is better").first.wait_for()
    seen.settle()
    seen.picture("benchmark")
    parts = page.get_by_test_id("stButtonGroup").first.locator("button")
    drawn = 0
    for part in parts.all():
        part.click()
        seen.settle()
        drawn += page.locator("canvas, svg.marks").count()
        seen.unarmed()
    assert drawn >= 6
    parts.get_by_text("Fixed and broken").click()
    seen.settle()
    pick(page, "Contrast", "lora over rag: ")
    page.get_by_text("window.pwned=1").first.wait_for()
    seen.looks("benchmark")


def searches_documents(seen: Opened, place: Place) -> None:
    files = [Upload(name="lamp.md", content=f"# Lamp\n\n{HOSTILE}\n".encode())]
    made = place.client.collections.add("manual", files)
    assert finished(place.client, made.id).error is None
    page = seen.page
    seen.turn_to("Collections")
    page.locator(".st-key-open-manual button").click()
    page.get_by_role("textbox", name="Look for").fill("lamp")
    page.get_by_role("button", name="Search", exact=True).click()
    page.locator("mark").first.wait_for()
    seen.looks("collections")


def looks_at_the_rest(seen: Opened) -> None:
    for name in ("Adapters", "System"):
        seen.turn_to(name)
        seen.looks(name.lower())


def ask(page: "Page", question: str) -> None:
    page.get_by_test_id("stChatInputTextArea").fill(question)
    page.keyboard.press("Enter")


def pick(page: "Page", name: str, option: str) -> None:
    """Choose from a list, again where what is still drawn pushed it away."""
    for _ in range(10):
        page.get_by_role("combobox", name=name).click()
        with suppress(PlaywrightError):
            page.get_by_role("option", name=option).first.click(timeout=2000)
            return
    raise AssertionError(f"{option!r} could not be chosen")


def pick_also(page: "Page", name: str, option: str) -> None:
    """Choose from a list of several, which stays open until it is closed.

    The same key empties a list of one that has closed already.
    """
    pick(page, name, option)
    page.keyboard.press("Escape")
    page.get_by_role("option").first.wait_for(state="detached")


def clear(page: "Page", name: str) -> None:
    """Take everything out of a list of several."""
    box = page.get_by_test_id("stMultiSelect").filter(has_text=name)
    box.get_by_role("button", name="Clear all").click()
