"""What a server would refuse or silently ignore is refused when an adapter is stored."""

from pathlib import Path
from typing import Any

import pytest

from rag_adapt.adapters.check import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    read_header,
    refuse_pickles,
    validate,
    weights_hash,
)
from rag_adapt.core.errors import AdapterError
from tests.adapters.samples import MODULE, write_adapter

A, B = (f"base_model.model.{MODULE}.lora_{side}.weight" for side in "AB")


def test_a_plain_adapter_passes(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "a")
    validate(folder, base_modules={MODULE})
    assert read_header(folder / WEIGHTS_FILE)[A].shape == (2, 4)


@pytest.mark.parametrize(
    ("settings", "fact"),
    [
        ({"use_dora": True}, "it uses use_dora"),
        ({"modules_to_save": ["lm_head"]}, "it uses modules_to_save"),
        ({"rank_pattern": {"q_proj": 4}}, "it uses rank_pattern"),
        ({"bias": "all"}, "it trains biases"),
        ({"r": 128}, "rank 128 is not one of"),
        ({"r": 3}, "rank 3 is not one of"),
        ({"init_lora_weights": "pissa"}, "its start 'pissa' changes the base"),
        ({"peft_type": "IA3"}, "its type is 'IA3'"),
    ],
)
def test_unservable_settings_are_refused(
    tmp_path: Path, settings: dict[str, Any], fact: str
) -> None:
    folder = write_adapter(tmp_path / "a", **settings)
    with pytest.raises(AdapterError, match=fact) as caught:
        validate(folder)
    assert "Train a plain LoRA" in caught.value.hint


@pytest.mark.parametrize(
    ("shapes", "fact"),
    [
        ({"model.layers.0.q.lora_A.weight": (2, 4)}, "is not named as a LoRA weight"),
        ({A: (2, 4)}, "has only one of its two matrices"),
        ({A: (3, 4), B: (4, 3)}, "which is not rank 2"),
        ({A: (2, 4), B: (2, 4)}, "which is not rank 2"),
    ],
    ids=["foreign name", "half a pair", "another rank", "B lies on its side"],
)
def test_tensors_that_would_do_nothing_are_refused(
    tmp_path: Path, shapes: dict[str, tuple[int, int]], fact: str
) -> None:
    with pytest.raises(AdapterError, match=fact):
        validate(write_adapter(tmp_path / "a", shapes=shapes))


def test_modules_that_the_base_lacks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match=f"the base model has no module '{MODULE}'"):
        validate(write_adapter(tmp_path / "a"), base_modules={"model.layers.0.mlp.up_proj"})


def test_an_empty_weights_file_is_refused(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "a")
    (folder / WEIGHTS_FILE).write_bytes((2).to_bytes(8, "little") + b"{}")
    with pytest.raises(AdapterError, match="holds no tensors"):
        validate(folder)


@pytest.mark.parametrize("name", ["adapter_model.bin", "deep/more.pt", "x.pkl"])
def test_a_pickle_anywhere_in_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    folder = write_adapter(tmp_path / "a")
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"\x80\x04")
    with pytest.raises(AdapterError, match="holds a pickle"):
        refuse_pickles(folder)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: data[:-4],
        lambda data: data + b"more",
        lambda data: (1 << 60).to_bytes(8, "little") + data[8:],
        lambda data: data[:8] + b"[" + data[9:],
        lambda data: (4).to_bytes(8, "little") + b"null",
        lambda data: (9).to_bytes(8, "little") + b'{"a": {}}',
    ],
    ids=["empty", "half", "short", "long", "huge header", "no JSON", "no object", "no offsets"],
)
def test_a_corrupt_weights_file_is_told_from_its_header(tmp_path: Path, damage: Any) -> None:
    file = write_adapter(tmp_path / "a") / WEIGHTS_FILE
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(AdapterError, match="is corrupt") as caught:
        read_header(file)
    assert "rag-adapt adapters train" in caught.value.hint


@pytest.mark.parametrize("content", [None, "{", "[]"], ids=["absent", "no JSON", "no object"])
def test_a_configuration_that_cannot_be_read_is_refused(
    tmp_path: Path, content: str | None
) -> None:
    folder = write_adapter(tmp_path / "a")
    (folder / CONFIG_FILE).unlink()
    if content is not None:
        (folder / CONFIG_FILE).write_text(content)
    with pytest.raises(AdapterError, match=CONFIG_FILE):
        weights_hash(folder)


@pytest.mark.parametrize("ask", [lambda f: read_header(f / WEIGHTS_FILE), weights_hash])
def test_missing_weights_are_refused(tmp_path: Path, ask: Any) -> None:
    folder = write_adapter(tmp_path / "a")
    (folder / WEIGHTS_FILE).unlink()
    with pytest.raises(AdapterError, match=f"has no {WEIGHTS_FILE}"):
        ask(folder)


def test_the_hash_follows_the_weights_and_what_gives_them_meaning(tmp_path: Path) -> None:
    same = weights_hash(write_adapter(tmp_path / "a"))
    assert len(same) == 12
    assert weights_hash(write_adapter(tmp_path / "b", base_model_name_or_path="x")) == same
    assert weights_hash(write_adapter(tmp_path / "c", fill=2.0)) != same
    assert weights_hash(write_adapter(tmp_path / "d", lora_alpha=8)) != same


def test_the_order_of_target_modules_does_not_change_the_hash(tmp_path: Path) -> None:
    one = write_adapter(tmp_path / "a", target_modules=["q_proj", "v_proj"])
    other = write_adapter(tmp_path / "b", target_modules=["v_proj", "q_proj"])
    assert weights_hash(one) == weights_hash(other)
