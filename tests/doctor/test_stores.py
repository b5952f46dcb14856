"""What is kept: folders, databases, Chroma, collections, adapters, skills, runs."""

import sqlite3
from pathlib import Path

import pytest

from rag_adapt.adapters.probe import PROBE_FILE
from rag_adapt.adapters.store import CARD_FILE, CURRENT_FILE, AdapterStore
from rag_adapt.bench.store import RunWriter, open_run
from rag_adapt.doctor import stores
from rag_adapt.models.files import sha256_of
from rag_adapt.retrieval.build import build_collection
from rag_adapt.retrieval.embed import HashingEmbedder
from tests.adapters.samples import card, write_adapter
from tests.doctor.parts import MACHINE, only, patient, seen, worst
from tests.doctor.test_holders import held_elsewhere
from tests.samples import write_skill


def test_folders_that_can_be_written_are_fine_and_stay_empty(tmp_path: Path) -> None:
    said = seen(stores.folders, patient(home=tmp_path / "home", indexes=tmp_path / "indexes"))
    assert [each.state for each in said] == ["ok", "ok"]
    assert list(tmp_path.iterdir()) == []


def test_a_home_that_cannot_be_written_is_named_with_its_setting(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    said = worst(stores.folders, patient(home=tmp_path / "home"))
    assert said.state == "fault"
    assert "home" in said.what
    assert "RAG_ADAPT_HOME" in said.remedy


def _database(path: Path, rows: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE answers (key TEXT PRIMARY KEY, value TEXT)")
        for number in range(rows):
            connection.execute("INSERT INTO answers VALUES (?, ?)", (str(number), "x" * 500))
    connection.close()
    return path


def test_a_home_without_databases_is_fine(tmp_path: Path) -> None:
    assert only(stores.databases, patient(home=tmp_path)).state == "ok"


def test_whole_databases_are_fine(tmp_path: Path) -> None:
    _database(tmp_path / "cache" / "answers.db")
    _database(tmp_path / "state.db")
    said = seen(stores.databases, patient(home=tmp_path))
    assert [each.state for each in said] == ["ok", "ok"]


@pytest.mark.parametrize(
    ("name", "remedy"), [("cache/answers.db", "rm -f"), ("state.db", "API keys")]
)
def test_a_damaged_database_is_named_and_what_mending_costs(
    tmp_path: Path, name: str, remedy: str
) -> None:
    path = _database(tmp_path / name, rows=400)
    content = bytearray(path.read_bytes())
    content[8_192:40_000] = b"\xa5" * (40_000 - 8_192)
    path.write_bytes(content)
    said = only(stores.databases, patient(home=tmp_path))
    assert said.state == "fault"
    assert str(path) in said.what
    assert remedy in said.remedy


def test_what_is_no_database_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "embeddings.db").write_bytes(b"no database at all" * 100)
    assert only(stores.databases, patient(home=tmp_path)).state == "fault"


def test_a_large_database_is_only_opened(tmp_path: Path) -> None:
    path = _database(tmp_path / "state.db")
    with path.open("r+b") as file:
        file.truncate(stores.QUICKLY_CHECKED + 4_096)
    assert only(stores.databases, patient(home=tmp_path)).state == "ok"


def test_chroma_writes_and_reads() -> None:
    said = only(stores.chroma, patient(machine={"installed": MACHINE.installed}))
    assert said.state == "ok"
    assert "1.5.9" in said.what


@pytest.fixture
def indexes(tmp_path: Path) -> Path:
    """One finished collection, `manual`."""
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "a.md").write_text("# A\n\nAll about a.\n")
    folder = tmp_path / "indexes"
    build_collection(folder / "manual", tmp_path / "documents", HashingEmbedder())
    return folder


def test_no_collections_are_fine(tmp_path: Path) -> None:
    assert only(stores.collections, patient(indexes=tmp_path / "indexes")).state == "ok"


def test_a_finished_collection_is_counted(indexes: Path) -> None:
    said = only(stores.collections, patient(indexes=indexes))
    assert said.state == "ok"
    assert "1 documents, 1 chunks" in said.what


def test_a_held_collection_is_named_with_its_holder(indexes: Path) -> None:
    with held_elsewhere(indexes / "manual") as number:
        said = only(stores.collections, patient(indexes=indexes))
    assert said.state == "warning"
    assert f"process {number}" in said.what
    assert "--backend exact" in said.remedy


def test_unfinished_and_damaged_collections_are_told_apart(indexes: Path) -> None:
    from rag_adapt.retrieval.record import Record

    (indexes / "half").mkdir()
    Record.write(indexes / "half").close()
    (indexes / "manual" / "record.db").write_bytes(b"nothing" * 1_000)
    half, manual = seen(stores.collections, patient(indexes=indexes))
    assert (half.state, manual.state) == ("warning", "fault")
    assert "rag-adapt index build half" in half.remedy
    assert "rag-adapt index check manual" in manual.remedy


def _publish(home: Path, name: str = "codes", fill: float = 1.0, base: str = "b" * 64) -> str:
    store = AdapterStore(home)
    with store.workspace() as work:
        write_adapter(work, fill=fill)
        return store.publish(work, card(name, weights_hash=base)).version


def test_whole_adapters_are_counted(tmp_path: Path) -> None:
    _publish(tmp_path)
    said = only(stores.adapters, patient(home=tmp_path))
    assert (said.state, said.what) == ("ok", "1 of 1 adapter(s) usable with this model")


def test_broken_adapters_are_named(tmp_path: Path) -> None:
    cut, unread = _publish(tmp_path), _publish(tmp_path, "other", fill=2.0)
    weights = tmp_path / "adapters" / cut / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8])
    (tmp_path / "adapters" / unread / CARD_FILE).write_text("{}")
    said = seen(stores.adapters, patient(home=tmp_path))
    assert [each.state for each in said] == ["fault", "fault", "ok"]
    assert f"rag-adapt adapters remove {unread}" in said[0].remedy
    assert cut in said[1].what
    assert "rag-adapt adapters" in said[1].remedy
    assert "0 of 2" in said[2].what


def test_an_adapter_that_cannot_be_proven_is_a_fault(tmp_path: Path) -> None:
    version = _publish(tmp_path)
    (tmp_path / "adapters" / version / PROBE_FILE).unlink()
    said = worst(stores.adapters, patient(home=tmp_path))
    assert said.state == "fault"
    assert PROBE_FILE in said.what


def test_a_name_that_points_nowhere_is_a_fault(tmp_path: Path) -> None:
    version = _publish(tmp_path)
    (tmp_path / "adapters" / CURRENT_FILE).write_text('{"codes": "codes@000000000000"}')
    said = worst(stores.adapters, patient(home=tmp_path))
    assert said.state == "fault"
    assert "codes" in said.what
    assert (tmp_path / "adapters" / version).is_dir()


def test_adapters_of_another_model_are_named(tmp_path: Path, tiny_model: Path) -> None:
    mine = sha256_of(tiny_model / "model.safetensors")
    _publish(tmp_path, "fitting", base=mine)
    foreign = _publish(tmp_path, "foreign", fill=3.0)
    who = patient(home=tmp_path, engine="embedded", model=str(tiny_model))
    said = seen(stores.adapters, who)
    assert [each.state for each in said] == ["warning", "ok"]
    assert foreign in said[0].what
    assert f"rag-adapt adapters show {foreign}" in said[0].remedy
    assert "1 of 2" in said[1].what


def test_a_faulty_imported_skill_is_named_with_its_check(tmp_path: Path) -> None:
    write_skill(tmp_path / "skills" / "colours")
    write_skill(tmp_path / "skills" / "shapes")
    (tmp_path / "skills" / "shapes" / "items.jsonl").write_text("{}\n")
    said = seen(stores.skills, patient(home=tmp_path))
    assert [each.state for each in said] == ["fault", "ok"]
    assert f"rag-adapt skills check {tmp_path / 'skills' / 'shapes'}" in said[0].remedy
    assert "1 of 2" in said[1].what


def _run(home: Path, plan_hash: str) -> Path:
    made = open_run(
        home / "runs",
        None,
        plan_hash=plan_hash,
        command="rag-adapt bench colours",
        plan={},
        fingerprint={},
    )
    return made.path


def test_an_unfinished_run_is_named_with_the_command_that_goes_on(tmp_path: Path) -> None:
    path = _run(tmp_path, "abcdef123456")
    said = seen(stores.runs, patient(home=tmp_path))
    assert [each.state for each in said] == ["warning", "ok"]
    assert path.name in said[0].what
    assert "`rag-adapt bench colours`" in said[0].remedy
    assert f"rm -r {path}" in said[0].remedy


def test_a_run_that_is_being_made_is_fine(tmp_path: Path) -> None:
    from rag_adapt.bench.store import RunFolder

    path = _run(tmp_path, "abcdef123456")
    with RunWriter(RunFolder(path=path)) as writer:
        assert "being made" in seen(stores.runs, patient(home=tmp_path))[0].what
        writer.finish({})
    said = only(stores.runs, patient(home=tmp_path))
    assert (said.state, said.what) == ("ok", "1 of 1 run(s) complete")


def test_a_damaged_run_is_named_and_many_are_counted(tmp_path: Path) -> None:
    paths = [_run(tmp_path, f"{number:012x}") for number in range(7)]
    for path in paths:
        (path / "run.json").write_text("{")
    said = seen(stores.runs, patient(home=tmp_path))
    assert [each.state for each in said] == ["warning"] * (stores.SHOWN + 1) + ["ok"]
    assert "rm -r" in said[0].remedy
    assert "2 more" in said[stores.SHOWN].what
