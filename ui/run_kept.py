"""What a browser tab keeps of runs that it looks at: finished ones never change.

It does not know what is shown of them. What is kept is found by the hash of the report's content,
which is asked of the service each time: who may no longer read there is told so.
"""

from collections.abc import Callable, Hashable
from typing import Final, TypeVar

import streamlit as st

from rag_adapt.client import Client
from rag_adapt.schemas.records import AnswerRow, Comparison, Report
from rag_adapt.schemas.runs import RunDetail

T = TypeVar("T")
_KEPT: Final = "run-kept"
REPORTS: Final = 4
"""Reports that a tab keeps."""
ARMS: Final = 4
"""Lists of answers that a tab keeps: two contrasts."""


def report_of(client: Client, run: RunDetail) -> Report:
    """A run's figures, read once.

    Raises:
        ApiError: the report could not be read.
    """
    return _kept("reports", (run.id, run.report), REPORTS, lambda: client.runs.report(run.id))


def answers_of(client: Client, run: str, skill: str, arm: str) -> list[AnswerRow]:
    """One arm's answers, without what was sent.

    Raises:
        ApiError: the answers could not be read.
    """
    return _kept(
        "answers",
        (run, skill, arm),
        ARMS,
        lambda: list(client.runs.answers(run, skill=skill, arm=arm)),
    )


def timed_of(client: Client, run: str, skill: str) -> list[AnswerRow]:
    """A skill's answers that were computed alone and not read from the cache.

    Raises:
        ApiError: the answers could not be read.
    """
    return _kept(
        "timed",
        (run, skill),
        ARMS,
        lambda: list(client.runs.answers(run, skill=skill, alone=True)),
    )


def compared_of(client: Client, a: str, b: str) -> Comparison:
    """Two runs item by item; finished ones are compared once.

    Raises:
        ApiError: there is no such run.
    """
    hashes = client.runs.show(a).report, client.runs.show(b).report
    if None in hashes:
        return client.runs.compare(a, b)
    return _kept("compared", (a, b, *hashes), REPORTS, lambda: client.runs.compare(a, b))


def _kept(shelf: str, key: Hashable, most: int, fetch: Callable[[], T]) -> T:
    known: dict[Hashable, T] = st.session_state.setdefault(f"{_KEPT}-{shelf}", {})
    if key not in known:
        known[key] = fetch()
        for old in list(known)[:-most]:
            del known[old]
    return known[key]
