"""What the libraries beneath torch do is the user's to choose, and ours where they did not."""

import os

import pytest

from rag_adapt.models.native import DEFAULTS, set_native_defaults


@pytest.mark.parametrize("name", DEFAULTS)
def test_what_nobody_chose_is_set_and_a_users_choice_stands(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delenv(name, raising=False)
    set_native_defaults()
    assert os.environ[name] == DEFAULTS[name]
    monkeypatch.setenv(name, "their own")
    set_native_defaults()
    assert os.environ[name] == "their own"
