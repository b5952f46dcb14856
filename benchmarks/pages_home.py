"""Makes a home with many finished runs, as a team has after some months.

It does not know the pages. Answers are drawn by lot with a rate for each arm; every figure of the
reports is computed from them as `bench` does.
"""

import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from rag_adapt.bench.figures import Report
from rag_adapt.bench.report import Extras, build_report
from rag_adapt.bench.store import AnswerRow, Header

SKILLS: Final = ("support", "manual", "orders", "past-tense")
RATES: Final = {
    "prompt": 0.42,
    "few-shot": 0.5,
    "rag": 0.55,
    "lora": 0.7,
    "rag+lora": 0.78,
    "bare": 0.1,
    "nearest-label": 0.6,
    "majority": 0.2,
}
"""Share of right answers by arm."""
LABELS: Final = ("refund", "exchange", "invoice", "delivery", "warranty", "other")
PASSAGE: Final = "A parcel that did not arrive within ten days counts as lost. " * 12
NOW: Final = "20261101-0900"


def make_runs(home: Path, *, runs: int, answers: int) -> str:
    """Write the runs; half of the answers are in the newest. The id of that one.

    Args:
        home: Of the service.
        runs: How many, at least 2.
        answers: Of all runs together.
    """
    per_arm = len(SKILLS) * len(RATES)
    large = max(1, answers // 2 // per_arm)
    small = max(1, -(-(answers - large * per_arm) // ((runs - 1) * len(RATES))))
    for number in range(runs - 1):
        _write(home, f"{NOW}{number:02}-9e7c1e", SKILLS[:1], small, seed=number)
    return _write(home, "20261122-063619-9e7c1e", SKILLS, large, seed=runs)


def _write(home: Path, id: str, skills: Sequence[str], items: int, *, seed: int) -> str:
    folder = home / "runs" / id
    folder.mkdir(parents=True)
    rows = [row for skill in skills for row in _answers(skill, items, seed)]
    report = build_report(
        rows, skills=skills, arms=tuple(RATES), run=_told(id, skills, items), extras=Extras()
    )
    (folder / "answers.jsonl").write_text("".join(f"{row.model_dump_json()}\n" for row in rows))
    (folder / "report.json").write_text(json.dumps(report.model_dump(mode="json"), indent=2))
    (folder / "report.html").write_text("<!doctype html>")
    (folder / "run.json").write_text(_header(id, skills, items, report).model_dump_json(indent=2))
    return id


def _told(id: str, skills: Sequence[str], items: int) -> dict[str, Any]:
    return {
        "id": id,
        "created": "2026-11-22T06:36:19+00:00",
        "command": "rag-adapt bench",
        "plan": {"items": items},
        "model": {"engine": "scripted", "model": "default"},
        "skills": dict.fromkeys(skills, "f8d3ad3063c6"),
        "scorers": dict.fromkeys(skills, "label"),
    }


def _header(id: str, skills: Sequence[str], items: int, report: Report) -> Header:
    return Header(
        id=id,
        state="complete",
        plan_hash="9e7c1e93c29a",
        created=str(report.run["created"]),
        command="rag-adapt bench",
        plan={"skills": dict.fromkeys(skills, "f8d3ad3063c6"), "arms": list(RATES), "items": items},
        fingerprint=dict(report.run["model"]),
    )


def _answers(skill: str, items: int, seed: int) -> Iterator[AnswerRow]:
    luck = random.Random(f"{skill}{seed}")
    for arm, rate in RATES.items():
        for number in range(items):
            yield _answer(skill, arm, number, right=luck.random() < rate, luck=luck)


def _answer(skill: str, arm: str, number: int, *, right: bool, luck: random.Random) -> AnswerRow:
    target = LABELS[number % len(LABELS)]
    said = target if right else luck.choice([label for label in LABELS if label != target])
    text = f"Ticket {number}: my parcel has not come for {number % 9 + 2} days, what now?"
    passages = [{"document": "returns.md", "start": n, "text": PASSAGE} for n in range(4)]
    sent = [{"role": "system", "content": PASSAGE}, {"role": "user", "content": text}]
    return AnswerRow(
        skill=skill,
        arm=arm,
        item=f"{skill}-{number}",
        cluster=f"{skill}-{number}",
        repeat=0,
        input=text,
        target=target,
        targets=(target,),
        output=said,
        extracted=said,
        score=float(right),
        scores={"exact": float(right)},
        tokens_in=412,
        tokens_out=6,
        first_token=luck.lognormvariate(-2, 0.3),
        total=luck.lognormvariate(-1, 0.4),
        alone=number < 12,
        trace={
            "events": [
                {"name": "retrieve", "passages": passages},
                {"name": "generate", "sent": sent},
            ]
        },
    )
