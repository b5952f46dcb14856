"""How long pages take to open and clicks to be answered, over many stored runs and answers.

It does not judge: it prints milliseconds in headless Chromium, beside the page System, which draws
no chart and reads no run: machines are shared, and a ratio of one run can be trusted where
milliseconds cannot. The service and the pages run as processes, the engine is the scripted one.

    python -m benchmarks.pages
"""

import argparse
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.pages_home import make_runs

if TYPE_CHECKING:
    from playwright.sync_api import Page

START: Final = 120.0
"""Seconds that the service and the pages may take to start."""
OPEN_MOST: Final = 2000
CLICK_MOST: Final = 300
"""Milliseconds that are promised."""
ANSWERED: Final = """async ([click, shown, running]) => {
  const begun = performance.now();
  if (click) click.click();
  const there = () => (running || document.querySelector('[data-test-script-state=notRunning]')
      && !document.querySelector('[data-testid=stSkeleton], [data-stale=true]'))
    && document.body.innerText.includes(shown);
  while (!there()) {
    if (performance.now() - begun > 30000) throw new Error(shown + ' was not shown');
    await new Promise(next => { requestAnimationFrame(next); setTimeout(next, 1000); });
  }
  return performance.now() - begun;
}"""
"""Milliseconds from a click until the page shows a text, runs no more (or may) and is drawn. The
text is looked for last: reading all of a page takes milliseconds of what is measured."""


@dataclass(kw_only=True)
class Taken:
    """Milliseconds of one thing that a visitor does."""

    name: str
    most: int
    milliseconds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Of its rounds."""
        return statistics.median(self.milliseconds)


class Visit:
    """One browser window and what was measured in it.

    Args:
        page: Of the browser.
        url: Where the pages are.
        found: By name; a round adds to what the rounds before found.
    """

    def __init__(self, page: "Page", url: str, found: dict[str, Taken]) -> None:
        self._page, self._url, self._found = page, url, found

    def opens(self, name: str, address: str, shown: str, *, running: bool = False) -> None:
        """A page, by its address, until it shows a text.

        Args:
            name: Of what is measured.
            address: Of the page.
            shown: The text.
            running: Whether its last part may still be fetched: it has a line of its own.
        """
        begun = time.perf_counter()
        self._page.goto(f"{self._url}/{address}", wait_until="commit")
        self._page.locator("[data-test-script-state]").first.wait_for(state="attached")
        self._page.evaluate(ANSWERED, [None, shown, running])
        self._keep(name, OPEN_MOST, 1000 * (time.perf_counter() - begun))

    def clicks(self, name: str, role: str, words: str, shown: str) -> None:
        """A button or an option, until the page shows a text."""
        place = self._page.get_by_role(role, name=words).first  # type: ignore[arg-type]  # Playwright types roles as literals
        place.wait_for()
        handle = place.element_handle()
        self._keep(name, CLICK_MOST, self._page.evaluate(ANSWERED, [handle, shown, False]))

    def shows(self, name: str, shown: str) -> None:
        """What a page adds after it was opened, from there on."""
        self._keep(name, OPEN_MOST, self._page.evaluate(ANSWERED, [None, shown, False]))

    def unfolds(self, name: str) -> None:
        """A list of choices, which the browser does alone."""
        for _ in range(10):  # what is still drawn may close it again
            self._page.get_by_role("combobox", name=name).click()
            self._page.wait_for_timeout(500)
            if self._page.get_by_role("option").count():
                return

    def _keep(self, name: str, most: int, milliseconds: float) -> None:
        self._found.setdefault(name, Taken(name=name, most=most)).milliseconds.append(milliseconds)


def visit(look: Visit, run: str, other: str) -> None:
    """What somebody does who reads a run."""
    look.opens("open System", "system", "It looks at the machine", running=True)
    look.shows("the doctor's findings", "Versions")
    look.opens("open Chat", "chat", "Chat")
    look.opens("open Skills", "skills", "Skills")
    look.opens("open Collections", "collections", "Collections")
    look.opens("open Adapters", "adapters", "Adapters")
    look.opens("open two runs compared", f"benchmark?a={other}&b={run}", "Scores of both runs")
    look.opens("open Benchmark", "benchmark", "Compare two runs")
    look.clicks("older runs", "button", "Older", "Newest")
    look.opens("open a report", f"benchmark?run={run}", "Score of every arm")
    look.clicks("costs and times", "radio", "Cost and time", "Time of an answer")
    look.clicks("fixed and broken items", "radio", "Fixed and broken", "Choose a contrast")
    look.unfolds("Contrast")
    look.clicks("one contrast's items", "option", "lora over prompt", "Accepted answers")
    look.clicks("only the broken ones", "radio", "broken", "broken, −")
    look.clicks("labels", "radio", "Labels", "Choose an arm")
    look.unfolds("Arm")
    look.clicks("one arm's labels", "option", "lora", "On the diagonal")
    look.clicks("scores again", "radio", "Scores", "Score of every arm")


@contextmanager
def served(home: Path) -> Iterator[str]:
    """The service and the pages, as processes; the address of the pages."""
    api, pages = free_port(), free_port()
    argv = [sys.executable, "-m", "rag_adapt", "--home", str(home), "serve", "--ui"]
    argv += ["--engine", "scripted", "--embedder", "hashing"]
    argv += ["--port", str(api), "--ui-port", str(pages)]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + START
        for url in (f"http://127.0.0.1:{api}/readyz", f"http://127.0.0.1:{pages}/_stcore/health"):
            while not _answers(url):
                if process.poll() is not None or time.monotonic() > end:
                    raise SystemExit(f"nothing answers at {url}")
                time.sleep(0.2)
        yield f"http://127.0.0.1:{pages}"
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def measure(home: Path, run: str, other: str, rounds: int) -> dict[str, Taken]:
    """Visit the pages, each round in a window of its own; the first one is not counted."""
    from playwright.sync_api import sync_playwright

    found: dict[str, Taken] = {}
    with served(home) as url, sync_playwright() as play:
        path = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = play.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for number in range(rounds + 1):
            context = browser.new_context(viewport={"width": 1280, "height": 900})
            context.set_default_timeout(60_000)
            begun = time.perf_counter()
            visit(Visit(context.new_page(), url, {} if number == 0 else found), run, other)
            print(f"round {number}: {time.perf_counter() - begun:.0f} s", flush=True)
            context.close()
        browser.close()
    return found


def report(found: dict[str, Taken]) -> None:
    """Medians, their ratios to the page System, and whether the promise was kept here."""
    empty = found["open System"].median
    for one in found.values():
        worst = max(one.milliseconds)
        kept = "within" if one.median <= one.most else "over"
        print(
            f"{one.name:<26} {one.median:7.0f} ms (worst {worst:5.0f})   "
            f"{one.median / empty:5.2f} of System   {kept} {one.most} ms"
        )


def main() -> None:
    """Make the home, visit, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--answers", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5, help="counted visits")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rag-adapt-pages-") as folder:
        home = Path(folder) / "home"
        run = make_runs(home, runs=given.runs, answers=given.answers)
        runs = sorted((home / "runs").iterdir())
        lines = sum(len((one / "answers.jsonl").read_bytes().splitlines()) for one in runs)
        print(f"{len(runs)} runs, {lines:,} answers")
        report(measure(home, run, runs[-2].name, given.rounds))


def _answers(url: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(url, timeout=5) as found:
        return bool(found.status == 200)
    return False


if __name__ == "__main__":
    main()
