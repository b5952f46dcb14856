"""Freed memory goes back to the system."""

import subprocess
import sys

import pytest

from rag_adapt.models.memory import hand_back

PIECES = """
from pathlib import Path
from rag_adapt.models.memory import hand_back

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

pieces = [bytes(100_000) for _ in range(2000)]
keep = pieces[-1]
full = resident()
del pieces
assert hand_back()
print(full - resident())
"""
"""A process of its own: what other tests left would be given back, or be in the way, as well."""


@pytest.mark.skipif(sys.platform != "linux", reason="measured from /proc")
def test_what_small_pieces_left_behind_is_given_back() -> None:
    command = [sys.executable, "-c", PIECES]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert int(ran.stdout) > 100_000_000


def test_elsewhere_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not hand_back()
