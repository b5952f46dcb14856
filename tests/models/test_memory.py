"""Freed memory goes back to the system."""

import sys
from pathlib import Path

import pytest

from rag_adapt.models.memory import hand_back


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


@pytest.mark.skipif(sys.platform != "linux", reason="measured from /proc")
def test_what_small_pieces_left_behind_is_given_back() -> None:
    pieces = [bytes(100_000) for _ in range(2000)]
    keep = pieces[-1]
    full = resident()
    del pieces
    assert hand_back()
    assert full - resident() > 100_000_000
    assert len(keep) == 100_000


def test_elsewhere_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not hand_back()
