"""Rows of evidence stand beside their runs, and all of them come out in one table."""

import csv
import io
import json
from pathlib import Path

import pytest

from rag_adapt.bench.atlas import EVIDENCE, atlas_rows, flatten, write_atlas, write_evidence
from rag_adapt.bench.figures import ArmReport, Cost, Pair, Recommendation, Report
from rag_adapt.bench.store import RunFolder, RunWriter, open_run
from rag_adapt.core.errors import StorageError
from tests.bench.test_readout import features

ROUTE = "=1+1"


def report(run: str) -> Report:
    arms = (
        ArmReport(
            skill="codes",
            arm="prompt",
            control=False,
            measured=True,
            n=40,
            score=0.25,
            cost=Cost(value=0.5, unit="compute-seconds/answer"),
        ),
        ArmReport(skill="codes", arm="rag", control=False, measured=False, reason="no corpus"),
        ArmReport(skill="plain", arm="prompt", control=False, measured=True, n=40, score=0.5),
    )
    pair = Pair(
        skill="codes",
        a="prompt",
        b="lora",
        primary=True,
        n=40,
        clusters=40,
        delta=0.4,
        ci_low=0.2,
        ci_high=0.6,
        fixed=17,
        broken=1,
        test="mcnemar-exact",
        p=0.001,
        p_holm=0.006,
        mde=0.2,
        verdict="better",
    )
    advice = Recommendation(
        skill="codes", route=ROUTE, basis="decided", sentence="Train.", regret=0.0, n_to_decide=None
    )
    return Report(
        run={
            "id": run,
            "created": "2026-11-01T10:00:00+00:00",
            "model": {"model": "default", "weights": "a" * 64},
            "skills": {"codes": "5" * 12},
        },
        arms=arms,
        pairs=(pair,),
        recommendations=(advice,),
    )


def finished(runs: Path, name: str) -> RunFolder:
    folder = open_run(
        runs, runs / name, plan_hash=name, command="rag-adapt bench", plan={}, fingerprint={}
    )
    with RunWriter(folder) as writer:
        writer.finish(report(name).model_dump(mode="json"))
    return folder


def test_a_runs_rows_hold_probes_and_outcome(tmp_path: Path) -> None:
    folder = finished(tmp_path, "one")
    path = write_evidence(folder, report("one"), [features(retrieval_hit=0.5)])
    assert path == folder.path / EVIDENCE
    first, second = atlas_rows(tmp_path)
    assert (first["run"], first["skill"], first["skill_hash"]) == ("one", "codes", "5" * 12)
    assert first["features"]["retrieval_hit"] == 0.5
    assert first["depth"] == "latent"
    assert first["arms"] == {"prompt": {"score": 0.25, "n": 40, "cost": 0.5}}
    assert first["verdicts"] == {"prompt>lora": "better"}
    assert (first["recommended"], first["basis"], first["regret"]) == (ROUTE, "decided", 0.0)
    assert (second["skill"], second["features"], second["depth"]) == ("plain", None, None)


def test_a_run_without_probes_gives_its_outcome(tmp_path: Path) -> None:
    finished(tmp_path, "one")
    assert [(row["skill"], row["features"]) for row in atlas_rows(tmp_path)] == [
        ("codes", None),
        ("plain", None),
    ]


def test_unfinished_and_older_runs_are_left_out(tmp_path: Path) -> None:
    open_run(
        tmp_path,
        tmp_path / "open",
        plan_hash="p",
        command="rag-adapt bench",
        plan={},
        fingerprint={},
    )
    old = finished(tmp_path, "old")
    (old.path / "report.json").write_text('{"schema_version": "1.0", "arms": []}')
    assert list(atlas_rows(tmp_path)) == []
    assert list(atlas_rows(tmp_path / "nowhere")) == []


@pytest.mark.parametrize("text", ["", '{"rows": 3}'], ids=["empty", "other shape"])
def test_a_damaged_file_is_named_with_its_remedy(tmp_path: Path, text: str) -> None:
    folder = finished(tmp_path, "one")
    (folder.path / EVIDENCE).write_text(text)
    with pytest.raises(StorageError, match="figures of run 'one' cannot be read") as caught:
        list(atlas_rows(tmp_path))
    assert str(folder.path) in caught.value.hint


def test_as_json_every_line_is_a_row(tmp_path: Path) -> None:
    write_evidence(finished(tmp_path, "one"), report("one"), [features()])
    finished(tmp_path, "two")
    file = io.StringIO()
    assert write_atlas(tmp_path, file, as_json=True) == 4
    assert [json.loads(line)["run"] for line in file.getvalue().splitlines()] == [
        "two",
        "two",
        "one",
        "one",
    ]


def test_as_csv_every_figure_has_a_column_and_formulas_are_defused(tmp_path: Path) -> None:
    finished(tmp_path, "two")
    write_evidence(finished(tmp_path, "one"), report("one"), [features()])
    file = io.StringIO()
    assert write_atlas(tmp_path, file, as_json=False) == 4
    rows = list(csv.DictReader(io.StringIO(file.getvalue())))
    probed = next(row for row in rows if row["run"] == "one" and row["skill"] == "codes")
    assert probed["features.bits_lora_10"] == "1.0"
    assert probed["arms.prompt.score"] == "0.25"
    assert probed["verdicts.prompt>lora"] == "better"
    assert probed["recommended"] == f"'{ROUTE}"
    bare = next(row for row in rows if row["run"] == "two")
    assert bare["features.bits_lora_10"] == ""


def test_no_rows_make_no_table(tmp_path: Path) -> None:
    file = io.StringIO()
    assert write_atlas(tmp_path, file, as_json=False) == 0
    assert file.getvalue().strip() == ""


def test_names_are_joined_by_dots() -> None:
    assert flatten({"a": {"b": {"c": 1}, "d": None}}) == {"a.b.c": 1, "a.d": None}
