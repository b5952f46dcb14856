"""Nothing that was acknowledged is lost when the writer is killed, wherever it was."""

from pathlib import Path

from benchmarks.kills import FREE, REOPENED, besiege


def test_25_kills_at_random_moments_lose_nothing_and_leave_nothing_locked(tmp_path: Path) -> None:
    tally = besiege(tmp_path, 25)
    assert tally.wrong == []
    assert tally.kills == 25
    assert tally.torn > 0
    assert tally.slowest_opening < REOPENED
    assert tally.slowest_lock < FREE
