"""Pages under test: the whole front end over the real service on the scripted engine."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from streamlit.components.v2.component_manager import BidiComponentManager
from streamlit.testing.v1 import AppTest

from ui.plain import JOINER

APP: Final = Path(__file__).parents[2] / "ui" / "app.py"
SPOKEN: Final = (
    *("title", "header", "subheader", "markdown", "caption", "text", "code", "error"),
    *("warning", "info", "success", "html"),
)
NO_COMPONENTS: Final = BidiComponentManager()
PATIENCE: Final = 120.0
"""Seconds that one run of a page may take on a busy machine."""


@contextmanager
def page(name: str = "chat", **query: str) -> Iterator[AppTest]:
    """The front end in a session of its own, at a page, after its first run.

    Args:
        name: File name in `ui/views/`.
        query: Parameters of the address.
    """
    test = fresh()
    for key, value in query.items():
        test.query_params[key] = value
    try:
        if name != "chat":
            test.switch_page(f"views/{name}.py")
        yield ran(test)
    finally:
        if "connection.client" in test.session_state:
            test.session_state["connection.client"].close()


def fresh() -> AppTest:
    """The front end before its first run.

    Streamlit would read the metadata of every installed package for each, in search of components
    that the pages do not have: 0.6 s of a processor, twenty times what a page itself takes.
    """
    test = AppTest.from_file(str(APP), default_timeout=PATIENCE)
    test._bidi_component_manager = NO_COMPONENTS
    return test


def ran(test: AppTest) -> AppTest:
    """The page after one more run, which raised nothing."""
    test.run()
    assert [one.message for one in test.exception] == []
    return test


def until(test: AppTest, true: Callable[[AppTest], object]) -> AppTest:
    """Run the page again, as its own clock would, until something holds."""
    end = time.monotonic() + PATIENCE
    while not true(test):
        assert time.monotonic() < end, f"still not so:\n{words(test)}"
        time.sleep(0.02)
        ran(test)
    return test


def words(test: AppTest) -> str:
    """Everything that the page says, a line each; what was escaped is read back."""
    found = [one for kind in SPOKEN for one in getattr(test, kind)]
    names = [label for kind in ("metric", "button", "expander") for label in labels(test, kind)]
    return "\n".join([*(read(str(one.value)) for one in found), *map(read, names)])


def unfolded(test: AppTest) -> AppTest:
    """The page with the data of all its charts, which are made when somebody opens them."""
    for one in test.expander:
        if one.label == "Its data":
            test.session_state[one.proto.id.split("-", 2)[-1]] = True
    return ran(test)


def labels(test: AppTest, kind: str) -> list[str]:
    """What stands on all of one kind, such as `button`, as Streamlit gets it."""
    return [str(getattr(one, "label", "")) for one in test.get(kind)]


def read(text: str) -> str:
    """A label as it is read on the page: see `ui.plain.label`."""
    return re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", text.replace(JOINER, ""))


def button(test: AppTest, label: str) -> Any:
    """The only button of this label.

    Raises:
        AssertionError: there is none, or there are several.
    """
    found = [one for one in test.button if read(one.label) == label]
    assert len(found) == 1, f"{len(found)} buttons {label!r} among {[b.label for b in test.button]}"
    return found[0]
