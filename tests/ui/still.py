"""A desk where nobody works: its jobs stay as a test left them.

It does not know the tests.
"""

from typing import Any

from rag_adapt.api.desk import Desk
from rag_adapt.jobs.store import JobStore
from rag_adapt.settings import Settings


class Nobody:
    """In the place of the runner."""

    works = True

    def start(self) -> None:
        """Nothing is taken up."""

    def stop(self) -> None:
        """Nothing was begun."""


def still_desk(settings: Settings) -> Desk:
    """A desk over the home of these settings."""
    nobody: Any = Nobody()
    return Desk(settings=settings, jobs=JobStore(settings.home), runner=nobody)
