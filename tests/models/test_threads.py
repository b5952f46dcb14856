"""OpenMP's waiting is the user's to choose, and ours where they did not."""

import os

import pytest

from rag_adapt.models.threads import WAIT_POLICY, wait_passively


def test_threads_sleep_while_they_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(WAIT_POLICY, raising=False)
    wait_passively()
    assert os.environ[WAIT_POLICY] == "PASSIVE"


def test_a_users_choice_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WAIT_POLICY, "ACTIVE")
    wait_passively()
    assert os.environ[WAIT_POLICY] == "ACTIVE"
