"""Write the bundled skills, or check that the committed ones are what would be written.

Does not know how a skill is made, nor what is in it.
"""

from __future__ import annotations

import argparse
import filecmp
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.bundled_skills import manual, orders, past_tense, support
from benchmarks.bundled_skills.writing import Skill

MAKERS: Mapping[str, Callable[[], Skill]] = {
    "past-tense": past_tense.make,
    "orders": orders.make,
    "manual": manual.make,
    "support": support.make,
}
BUNDLED = Path(__file__).parents[2] / "rag_adapt" / "skills" / "bundled"


def write(folder: Path) -> None:
    """Replace each skill's folder below `folder` with a freshly made one."""
    for name, make in MAKERS.items():
        shutil.rmtree(folder / name, ignore_errors=True)
        for path, text in make().files().items():
            target = folder / name / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8", newline="\n")


def differences(made: Path, committed: Path) -> list[str]:
    """Paths of skills' files that are missing, left over, or other than what was made."""
    paths = {
        path.relative_to(root).as_posix()
        for root in (made, committed)
        for name in MAKERS
        for path in (root / name).rglob("*")
        if path.is_file()
    }
    return sorted(p for p in paths if not _same(made / p, committed / p))


def main() -> int:
    """Run the command; the exit code is 1 where `--check` finds a difference."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bundled_skills")
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    if not parser.parse_args().check:
        write(BUNDLED)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder))
        wrong = differences(Path(folder), BUNDLED)
    for path in wrong:
        sys.stderr.write(f"{path} differs; run python -m benchmarks.bundled_skills\n")
    return 1 if wrong else 0


def _same(one: Path, other: Path) -> bool:
    return one.is_file() and other.is_file() and filecmp.cmp(one, other, shallow=False)


if __name__ == "__main__":
    raise SystemExit(main())
