"""What is available is what the system and the container leave, whichever is less."""

from pathlib import Path

import pytest

from rag_adapt.adapters.memory import PeakMemory, available_memory


def system(folder: Path, kilobytes: int) -> Path:
    file = folder / "meminfo"
    file.write_text(f"MemTotal: 9999 kB\nMemAvailable:   {kilobytes} kB\n")
    return file


def group(folder: Path, limit: str) -> Path:
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text("3000000\n")
    (folder / "memory.stat").write_text("anon 1\ninactive_file 500000\n")
    return folder


@pytest.mark.parametrize(
    ("limit", "available"), [("max", 5_120_000), ("4000000", 1_500_000), ("90000000", 5_120_000)]
)
def test_the_smaller_of_system_and_container_counts(
    tmp_path: Path, limit: str, available: int
) -> None:
    meminfo = system(tmp_path, 5000)
    assert available_memory("cpu", meminfo=meminfo, group=group(tmp_path, limit)) == available


def test_a_system_that_does_not_say_is_not_guessed(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("")
    for file in (tmp_path / "missing", tmp_path / "empty"):
        assert available_memory("cpu", meminfo=file, group=tmp_path) is None


def test_this_machine_has_some() -> None:
    found = available_memory("cpu")
    assert found is None or found > 1e7
    assert PeakMemory("cpu").bytes() > 1e7
