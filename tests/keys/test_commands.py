"""`rag-adapt keys` shows a key once and never again."""

import json
from pathlib import Path

import pytest

from rag_adapt.cli.app import run
from rag_adapt.keys.key import Token
from rag_adapt.keys.store import KeyStore


def test_a_key_is_created_listed_revoked_and_forgotten(
    own_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["keys", "create", "laptop", "--scope", "chat"]) == 0
    shown = capsys.readouterr()
    token = Token.parse(shown.out.strip())
    assert token is not None
    assert "not shown again" in shown.err
    store = KeyStore(own_folder / ".rag-adapt")
    assert store.verify(token) is not None
    assert run(["keys", "list"]) == 0
    listed = capsys.readouterr().out
    assert "laptop" in listed
    assert token.secret not in listed
    assert run(["keys", "revoke", "laptop"]) == 0
    assert store.verify(token) is None
    assert run(["keys", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.split("revoked\n", 1)[1])[0]["revoked"] > 0
    assert run(["keys", "forget", "laptop"]) == 0
    assert not store.any_ever()


def test_json_for_programs_carries_the_token(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["keys", "create", "ci", "--scope", "admin", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert Token.parse(made["token"]) is not None
    assert (made["name"], made["scope"]) == ("ci", "admin")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["create", "laptop", "--scope", "root"], "'root'"),
        (["create", "Laptop!", "--scope", "chat"], "'Laptop!'"),
        (["revoke", "ghost"], "'ghost'"),
        (["forget", "ghost"], "'ghost'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_are_named_with_a_remedy(
    arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["keys", *arguments]) == 2
    printed = capsys.readouterr().err
    assert named in printed
    assert "  try: " in printed
