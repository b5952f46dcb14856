"""A run for a spreadsheet."""

import csv
import io
from pathlib import Path

from rag_adapt.bench.export import write_csv
from rag_adapt.bench.store import RunWriter, open_run
from tests.samples import row


def test_answers_become_lines_and_formulas_become_text(tmp_path: Path) -> None:
    run = open_run(tmp_path, None, plan_hash="abc", command="c", plan={}, fingerprint={})
    with RunWriter(run) as writer:
        writer.append(row(1, output="=HYPERLINK(0)"))
        writer.append(row(2, output=None, score=None, failure="engine"))
    file = io.StringIO()
    assert write_csv(run, file) == 2
    first, second = csv.DictReader(io.StringIO(file.getvalue()))
    assert first["output"] == "'=HYPERLINK(0)"
    assert (second["output"], second["failure"]) == ("", "engine")
    assert "trace" not in first
