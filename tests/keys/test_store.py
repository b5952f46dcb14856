"""Keys are shown once, kept as hashes, and closed the moment they are revoked."""

import sqlite3
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from rag_adapt.core.errors import CollectionError, LockedError
from rag_adapt.keys.key import SCOPES, Key, KeysError, Scope, Token
from rag_adapt.keys.store import REMEMBERED, KeyStore


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    return KeyStore(tmp_path / "home")


def test_a_key_opens_with_its_token_and_with_no_other(store: KeyStore) -> None:
    made = store.create("laptop", "chat")
    other = store.create("server", "admin")
    assert store.verify(made.token) == made.key
    assert store.verify(other.token) == other.key
    assert store.verify(Token(id=made.token.id, secret=other.token.secret)) is None
    assert store.verify(Token.fresh()) is None


def test_a_token_survives_the_way_through_a_header(store: KeyStore) -> None:
    token = store.create("laptop", "chat").token
    assert Token.parse(token.reveal()) == token


@pytest.mark.parametrize(
    "text",
    ["", "ra_", "sk-abc", "ra_0123456789ab_short", "ra_0123456789AB_" + "a" * 43, "x" * 10_000],
)
def test_what_is_no_token_is_none(text: str) -> None:
    assert Token.parse(text) is None


def test_the_file_holds_no_secret_and_only_the_owner_reads_it(store: KeyStore) -> None:
    token = store.create("laptop", "chat").token
    store.close()
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    written = b"".join(path.read_bytes() for path in store.path.parent.iterdir())
    assert token.id.encode() in written
    assert token.secret.encode() not in written


def test_a_state_file_that_others_could_read_is_closed_before_a_hash_is_written(
    store: KeyStore,
) -> None:
    store.path.parent.mkdir()
    with sqlite3.connect(store.path) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("CREATE TABLE traces (id TEXT)")
        for path in store.path.parent.iterdir():
            path.chmod(0o644)
        store.create("laptop", "chat")
        modes = {
            path.name: stat.S_IMODE(path.stat().st_mode) for path in store.path.parent.iterdir()
        }
    other.close()
    assert len(modes) == 3
    assert set(modes.values()) == {0o600}


def test_two_equal_secrets_would_have_different_hashes(store: KeyStore) -> None:
    token = Token.fresh()
    assert token.digest(b"a" * 16) != token.digest(b"b" * 16)
    assert "secret" not in repr(token)
    assert token.secret not in repr(store.create("laptop", "chat"))


def test_a_revoked_key_opens_nothing_also_where_it_was_verified_before(tmp_path: Path) -> None:
    service, operator = KeyStore(tmp_path), KeyStore(tmp_path)
    token = operator.create("laptop", "bench").token
    assert service.verify(token) is not None
    assert service.remembers(token)
    operator.revoke("laptop")
    assert service.verify(token) is None
    assert [key.revoked is None for key in service.records()] == [False]


def test_a_running_service_sees_the_first_key_of_a_home(tmp_path: Path) -> None:
    service = KeyStore(tmp_path / "home")
    assert not service.any_ever()
    assert service.records() == ()
    assert not service.path.exists()
    KeyStore(tmp_path / "home").create("laptop", "chat")
    assert service.any_ever()
    assert service.any_active()


def test_a_home_that_had_a_key_stays_closed_until_the_record_is_forgotten(store: KeyStore) -> None:
    store.create("laptop", "chat")
    store.revoke("laptop")
    assert (store.any_ever(), store.any_active()) == (True, False)
    assert store.forget("laptop") == 1
    assert (store.any_ever(), store.any_active()) == (False, False)


def test_a_name_is_free_again_once_its_key_is_revoked(store: KeyStore) -> None:
    first = store.create("laptop", "chat")
    with pytest.raises(KeysError, match="already"):
        store.create("laptop", "admin")
    store.revoke("laptop")
    second = store.create("laptop", "bench")
    assert store.verify(first.token) is None
    assert store.verify(second.token) == second.key


@pytest.mark.parametrize("name", ["", "Laptop", "a b", "-x", "x" * 49, "a/../b", "a\n"])
def test_odd_names_are_refused(store: KeyStore, name: str) -> None:
    with pytest.raises(KeysError, match="no name for a key"):
        store.create(name, "chat")


def test_what_is_not_there_cannot_be_revoked_or_forgotten(store: KeyStore) -> None:
    store.create("laptop", "chat")
    with pytest.raises(KeysError, match="no active key 'ghost'"):
        store.revoke("ghost")
    with pytest.raises(KeysError, match="no revoked key 'laptop'"):
        store.forget("laptop")


@pytest.mark.parametrize("scope", SCOPES)
def test_each_scope_includes_the_ones_before_it(scope: Scope) -> None:
    key = Key(id="0" * 12, name="k", scope=scope, created=0.0)
    assert [s for s in SCOPES if key.allows(s)] == list(SCOPES[: SCOPES.index(scope) + 1])


def test_many_threads_make_one_key_of_one_name(tmp_path: Path) -> None:
    def create(_: int) -> bool:
        try:
            KeyStore(tmp_path).create("laptop", "chat")
        except KeysError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(create, range(16))) == 1


def test_verified_tokens_are_remembered_within_a_bound(
    store: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag_adapt.keys.store.REMEMBERED", 2)
    assert REMEMBERED > 2
    tokens = [store.create(f"k{n}", "chat").token for n in range(3)]
    for token in tokens:
        assert store.verify(token)
    assert [store.remembers(token) for token in tokens] == [False, True, True]


def test_a_damaged_state_file_is_named(store: KeyStore) -> None:
    store.path.parent.mkdir()
    store.path.write_bytes(b"not a database" * 100)
    with pytest.raises((CollectionError, sqlite3.DatabaseError), match=r"state\.db"):
        store.records()


def test_reading_waits_for_nobody_who_writes_there(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("BEGIN IMMEDIATE")
        other.execute("CREATE TABLE half_made (id TEXT)")
        store = KeyStore(tmp_path)
        assert not store.any_ever()
        assert store.verify(Token.fresh()) is None
        other.execute("ROLLBACK")
        made = store.create("laptop", "chat")
        assert store.verify(made.token) == made.key


def test_a_file_that_nobody_may_read_now_is_said_to_be_locked(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None)) as other:
        other.execute("CREATE TABLE other (id TEXT)")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(LockedError, match="in use"):
            KeyStore(tmp_path).any_ever()


def test_a_store_that_was_closed_opens_again(store: KeyStore) -> None:
    made = store.create("laptop", "chat")
    store.close()
    store.close()
    assert store.verify(made.token) == made.key
