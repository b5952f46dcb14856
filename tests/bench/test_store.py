"""The record of a run survives being killed, torn and read while it is written."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_adapt.bench.store import (
    ANSWERS,
    AnswerRow,
    RunFolder,
    RunWriter,
    find_run,
    list_runs,
    open_run,
)
from rag_adapt.core.errors import LockedError, RunNotFoundError, StorageError
from tests.samples import row


def new_run(runs: Path, plan_hash: str = "abcdef123456", out: Path | None = None) -> RunFolder:
    return open_run(
        runs,
        out,
        plan_hash=plan_hash,
        command="rag-adapt bench",
        plan={"skills": {"colours": "1"}},
        fingerprint={},
    )


def test_rows_are_read_as_they_were_kept(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    with RunWriter(run) as writer:
        writer.append(row(1))
        assert list(run.rows()) == [row(1)]
        writer.append(row(2, score=None, failure="engine"))
    assert list(run.rows()) == [row(1), row(2, score=None, failure="engine")]


@given(cut=st.integers(1, 200))
def test_a_line_torn_at_any_place_is_dropped_and_the_rest_kept(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    run = new_run(tmp_path_factory.mktemp("runs"))
    with RunWriter(run) as writer:
        writer.append(row(1))
        writer.append(row(2))
    path = run.path / ANSWERS
    last = len(path.read_bytes().splitlines()[1])
    path.write_bytes(path.read_bytes()[: -min(cut, last)])
    assert list(run.rows()) == [row(1)]
    with RunWriter(run) as writer:
        writer.append(row(3))
    assert list(run.rows()) == [row(1), row(3)]


def test_a_damaged_line_is_named_with_its_number(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    with RunWriter(run) as writer:
        writer.append(row(1))
    path = run.path / ANSWERS
    path.write_bytes(b'{"skill": 3}\n' + path.read_bytes())
    with pytest.raises(StorageError, match="line 1"):
        list(run.rows())


def test_a_second_writer_is_refused_and_readers_are_not(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    with RunWriter(run) as writer:
        writer.append(row(1))
        with pytest.raises(LockedError, match="another process"), RunWriter(run):
            pass
        assert len(list(run.rows())) == 1


def test_an_unfinished_run_of_the_same_plan_goes_on(tmp_path: Path) -> None:
    assert new_run(tmp_path).path == new_run(tmp_path).path
    assert new_run(tmp_path, "ffffff123456").path != new_run(tmp_path).path


def test_a_finished_run_is_not_written_to_again(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    with RunWriter(run) as writer:
        writer.finish({"arms": []})
    assert run.header.state == "complete"
    assert run.report() == {"arms": []}
    assert new_run(tmp_path).path != run.path


def test_a_folder_of_ones_own_is_resumed_by_the_same_plan_only(tmp_path: Path) -> None:
    out = tmp_path / "mine"
    assert new_run(tmp_path, out=out).path == out
    assert new_run(tmp_path, out=out).path == out
    with pytest.raises(StorageError, match="another run"):
        new_run(tmp_path, "ffffff123456", out=out)


def test_runs_are_found_by_id_beginning_folder_or_last(tmp_path: Path) -> None:
    first, second = new_run(tmp_path, "aaaaaa123456"), new_run(tmp_path, "bbbbbb123456")
    newest = list_runs(tmp_path)[0].path.name
    assert find_run(tmp_path, first.path.name).path == first.path
    assert find_run(tmp_path, str(second.path)).path == second.path
    assert find_run(tmp_path, "last").path.name == newest
    with pytest.raises(RunNotFoundError, match="2 runs match"):
        find_run(tmp_path, "2")
    with pytest.raises(RunNotFoundError, match="0 runs match"):
        find_run(tmp_path, "nothing")


def test_a_folder_without_runs_lists_none(tmp_path: Path) -> None:
    assert list_runs(tmp_path / "absent") == []


def test_a_run_without_report_says_how_to_finish_it(tmp_path: Path) -> None:
    with pytest.raises(RunNotFoundError, match="not finished"):
        new_run(tmp_path).report()


def test_a_folder_that_is_no_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(RunNotFoundError, match="not the folder of a run"):
        _ = RunFolder(path=tmp_path).header


def test_a_row_is_one_line_of_plain_json_with_the_published_fields() -> None:
    data = json.loads(row(1).model_dump_json())
    published = "skill arm item cluster repeat target output score failure trace".split()
    assert set(published) <= set(data)
    assert AnswerRow.model_validate(data) == row(1)
