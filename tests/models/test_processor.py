"""What a processor computes in is read, not guessed."""

from pathlib import Path

import pytest

from rag_adapt.models.processor import multiplies_bfloat16


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        pytest.param("processor : 0\nflags\t: fpu avx512_bf16 sse\n", True, id="vector units"),
        pytest.param("flags\t: fpu amx_bf16\n\nflags\t: fpu amx_bf16\n", True, id="matrix units"),
        pytest.param("flags\t: fpu avx2\nbugs\t: amx_bf16\n", False, id="neither"),
        pytest.param("Features\t: fp asimd bf16\n", False, id="never measured"),
    ],
)
def test_units_for_bfloat16_are_found(tmp_path: Path, description: str, expected: bool) -> None:
    (tmp_path / "cpuinfo").write_text(description)
    assert multiplies_bfloat16(tmp_path / "cpuinfo") is expected


def test_a_system_that_does_not_say_is_taken_for_one_without(tmp_path: Path) -> None:
    assert not multiplies_bfloat16(tmp_path / "nothing")
