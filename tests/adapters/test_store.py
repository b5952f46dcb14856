"""Adapters appear whole or not at all, stay as they are, and are checked whenever they are used."""

import json
import multiprocessing
import os
import signal
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from rag_adapt.adapters.check import WEIGHTS_FILE
from rag_adapt.adapters.store import CARD_FILE, CURRENT_FILE, AdapterStore
from rag_adapt.core.errors import AdapterError
from tests.adapters.samples import MODULE, card, probe, write_adapter


@pytest.fixture
def store(tmp_path: Path) -> AdapterStore:
    return AdapterStore(tmp_path)


def publish(store: AdapterStore, name: str = "codes", fill: float = 1.0) -> str:
    with store.workspace() as work:
        write_adapter(work, fill=fill)
        return store.publish(work, card(name)).version


def test_what_was_published_is_found_verified_and_described(store: AdapterStore) -> None:
    version = publish(store)
    ref = store.get(version)
    assert (ref.version, ref.rank) == (version, 2)
    assert Path(ref.path) == (store.folder / version).resolve()
    assert store.card(version).version == version
    assert store.probe(version) == probe()
    assert store.find("codes") == store.find(version) == store.current("codes") == version
    assert [c.version for c in store.list()] == [version]


def test_new_weights_are_a_new_version_and_become_current(store: AdapterStore) -> None:
    old, new = publish(store), publish(store, fill=2.0)
    assert old != new
    assert store.find("codes") == new
    assert {c.version for c in store.list()} == {old, new}
    store.set_current(old)
    assert store.find("codes") == old


def test_the_same_weights_twice_are_one_version_with_its_first_card(store: AdapterStore) -> None:
    version = publish(store)
    with store.workspace() as work:
        write_adapter(work)
        again = store.publish(work, card(seconds=99.0))
    assert (again.version, again.seconds) == (version, 1.5)


def test_publishing_again_mends_a_damaged_version(store: AdapterStore) -> None:
    version = publish(store)
    (store.folder / version / WEIGHTS_FILE).write_bytes(b"")
    assert publish(store) == version
    assert store.get(version).version == version


def test_an_adapter_that_a_server_would_refuse_is_not_published(store: AdapterStore) -> None:
    with pytest.raises(AdapterError, match="use_dora"), store.workspace() as work:
        store.publish(write_adapter(work, use_dora=True), card())
    with pytest.raises(AdapterError, match="no module"), store.workspace() as work:
        store.publish(write_adapter(work), card(), base_modules={f"{MODULE}.x"})
    assert store.list() == ()


def test_one_changed_byte_is_noticed(store: AdapterStore) -> None:
    version = publish(store)
    file = store.folder / version / WEIGHTS_FILE
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(AdapterError, match="is corrupt: its content hashes to"):
        store.get(version)


def test_a_pickle_put_beside_the_weights_is_refused(store: AdapterStore) -> None:
    version = publish(store)
    (store.folder / version / "adapter_model.bin").write_bytes(b"\x80")
    with pytest.raises(AdapterError, match="holds a pickle"):
        store.get(version)


def test_an_adapter_for_other_weights_names_the_model_to_choose(store: AdapterStore) -> None:
    version = publish(store)
    store.check_base(version, "b" * 64)
    with pytest.raises(AdapterError, match="was trained on 'tiny'") as caught:
        store.check_base(version, "a" * 64)
    assert "--model tiny" in caught.value.hint


@pytest.mark.parametrize("name", ["codes", "codes@0123456789ab"])
def test_what_does_not_exist_is_said_so(store: AdapterStore, name: str) -> None:
    with pytest.raises(AdapterError, match=f"no adapter '{name}'") as caught:
        store.find(name)
    assert "rag-adapt adapters list" in caught.value.hint


@pytest.mark.parametrize("version", ["../x", "codes", "codes@12", "/etc@0123456789ab"])
def test_only_versions_lead_to_folders(store: AdapterStore, version: str) -> None:
    with pytest.raises(AdapterError, match="is not an adapter version"):
        store.get(version)


def test_a_removed_adapter_is_gone_with_its_pointer(store: AdapterStore) -> None:
    kept, gone = publish(store, "other"), publish(store)
    store.remove(gone)
    assert [c.version for c in store.list()] == [kept]
    assert store.current("codes") is None
    assert store.current("other") == kept


def test_a_pointer_to_nothing_is_no_adapter(store: AdapterStore) -> None:
    publish(store)
    (store.folder / CURRENT_FILE).write_text(json.dumps({"codes": "codes@000000000000"}))
    with pytest.raises(AdapterError, match="no adapter 'codes'"):
        store.find("codes")


@pytest.mark.parametrize("content", ["{", "[]"])
def test_unreadable_pointers_are_reported_with_a_remedy(store: AdapterStore, content: str) -> None:
    publish(store)
    (store.folder / CURRENT_FILE).write_text(content)
    with pytest.raises(AdapterError, match="is not readable") as caught:
        store.find("codes")
    assert "Delete it" in caught.value.hint


def test_an_adapter_without_its_card_is_listed_as_broken(store: AdapterStore) -> None:
    version = publish(store)
    (store.folder / version / CARD_FILE).write_text("{}")
    assert store.list() == ()
    assert store.broken() == (version,)
    with pytest.raises(AdapterError, match=r"no readable card\.json"):
        store.card(version)


def test_an_adapter_without_its_probe_says_how_to_get_one(store: AdapterStore) -> None:
    version = publish(store)
    (store.folder / version / "probe.json").unlink()
    with pytest.raises(AdapterError, match=r"no readable probe\.json") as caught:
        store.probe(version)
    assert "cannot be proven" in caught.value.hint


def test_a_workspace_is_gone_after_an_error(store: AdapterStore) -> None:
    with pytest.raises(AdapterError), store.workspace() as work:
        store.publish(write_adapter(work), card().model_copy(update={"name": "No"}))
    assert list(store.folder.glob(".work-*")) == []
    assert store.list() == ()


def test_a_live_workspace_is_left_alone(store: AdapterStore) -> None:
    with store.workspace() as first, store.workspace() as second:
        assert first.is_dir()
        assert second.is_dir()
        assert first != second


def test_the_workspace_of_a_killed_process_is_removed_by_the_next(store: AdapterStore) -> None:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_hold_workspace, args=(store.folder.parent, there))
    process.start()
    assert here.recv() == "ready"
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert len(list(store.folder.glob(".work-*"))) == 1
    with store.workspace():
        assert len(list(store.folder.glob(".work-*"))) == 1
    assert list(store.folder.glob(".work-*")) == []
    assert store.list() == ()


def _hold_workspace(home: Path, pipe: Connection) -> None:
    with AdapterStore(home).workspace() as work:
        (work / WEIGHTS_FILE).write_bytes(b"half")
        pipe.send("ready")
        signal.pause()
