"""What a stranger sends becomes a plain adapter folder, or is refused with the reason."""

import asyncio
import json
import pickle
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from rag_adapt.adapters.check import CONFIG_FILE, WEIGHTS_FILE, read_config, weights_hash
from rag_adapt.adapters.upload import (
    Shape,
    Taken,
    UnfitAdapterError,
    base_shapes,
    bounds_for,
    order,
    take,
)
from rag_adapt.core.errors import AdapterError
from rag_adapt.limited.bounds import ParserError
from rag_adapt.limited.call import call
from rag_adapt.models.files import weight_files
from tests.adapters import hostile
from tests.adapters.hostile import SHAPES, configured, header, parts, tarred, weights, zipped
from tests.adapters.samples import MODULE, write_adapter

Files = Mapping[str, bytes]


def asked(tmp_path: Path, files: Files, shapes: Mapping[str, Shape] = SHAPES) -> dict[str, Any]:
    """The order to take in these files."""
    sent = {}
    for number, (name, data) in enumerate(files.items()):
        sent[name] = tmp_path / f"sent-{number}"
        sent[name].write_bytes(data)
    folder = tmp_path / "adapter"
    folder.mkdir()
    return order(sent, folder, shapes)


def taken(tmp_path: Path, files: Files, shapes: Mapping[str, Shape] = SHAPES) -> Taken:
    return Taken(**take(asked(tmp_path, files, shapes)))


def refused(tmp_path: Path, files: Files) -> str:
    with pytest.raises(AdapterError) as caught:
        taken(tmp_path, files)
    assert str(tmp_path) not in str(caught.value)
    assert caught.value.hint
    return caught.value.fact


PACKED = {
    "two files": lambda p: p,
    "zip": lambda p: {"a.zip": zipped(p)},
    "tar": lambda p: {"a.tar": tarred(p)},
    "tar.gz": lambda p: {"whatever": tarred(p, mode="w:gz")},
    "in a folder": lambda p: {"a.zip": zipped({f"orders@1f3a9c2e7b04/{n}": p[n] for n in p})},
    "here": lambda p: {"a.tar": tarred({f"./{n}": p[n] for n in p})},
    "with others' claims": lambda p: {"a.zip": zipped({**p, "card.json": b"{", "README.md": b""})},
}


@pytest.mark.parametrize("pack", PACKED.values(), ids=PACKED)
def test_a_plain_adapter_is_taken_however_it_was_packed(tmp_path: Path, pack: Any) -> None:
    found = taken(tmp_path, pack(parts(tmp_path)))
    folder = tmp_path / "adapter"
    assert sorted(path.name for path in folder.iterdir()) == [CONFIG_FILE, WEIGHTS_FILE]
    assert found.digits == weights_hash(tmp_path / "plain") == weights_hash(folder)
    assert (found.rank, found.alpha) == (2, 4)


def test_of_the_configuration_only_what_gives_the_weights_their_meaning_is_kept(
    tmp_path: Path,
) -> None:
    more = {
        "base_model_name_or_path": "https://example.org/\x1b[31mmodel" + "x" * 999,
        "peft_version": "0.21.2",
        "megatron_core": "os",
        "auto_mapping": {"parent_library": "os", "base_model_class": "system"},
        "revision": "main",
        "lora_dropout": 0.1,
        "rank_pattern": {},
    }
    found = taken(tmp_path, parts(tmp_path, **more))
    kept = read_config(tmp_path / "adapter")
    assert not (set(more) - {"rank_pattern"}) & set(kept)
    assert found.claimed_base is not None
    assert found.claimed_base.startswith("https://example.org/?[31mmodel")
    assert (len(found.claimed_base), found.claimed_peft) == (200, "0.21.2")


def test_targets_become_the_modules_that_have_weights(tmp_path: Path) -> None:
    shapes = {**SHAPES, MODULE.replace(".0.", ".1."): SHAPES[MODULE]}
    taken(tmp_path, parts(tmp_path), shapes)
    assert read_config(tmp_path / "adapter")["target_modules"] == [MODULE]


def test_weights_that_lie_the_other_way_round_are_measured_that_way(tmp_path: Path) -> None:
    shapes = {MODULE: Shape(rows=4, columns=6)}
    across = {hostile.A: (2, 4), hostile.B: (6, 2)}
    taken(tmp_path, parts(tmp_path, shapes=across, fan_in_fan_out=True), shapes)


def test_the_base_models_modules_are_read_from_its_headers(tiny_model: Path) -> None:
    shapes = base_shapes(weight_files(tiny_model))
    assert shapes["model.layers.0.self_attn.q_proj"] == Shape(rows=64, columns=64)
    assert shapes["model.layers.1.mlp.down_proj"] == Shape(rows=64, columns=128)


ARCHIVES = {
    "traversal": (lambda p: zipped({**p, "../evil": b"x"}), "'../evil'"),
    "traversal by a known name": (lambda p: zipped({f"../{n}": p[n] for n in p}), "no part of it"),
    "deep": (lambda p: zipped({f"a/b/{n}": p[n] for n in p}), "no part of it"),
    "absolute": (lambda p: tarred({f"/tmp/{n}": p[n] for n in p}), "no part of it"),
    "backslash": (lambda p: zipped({**p, "..\\evil": b""}), "no part of it"),
    "foreign name": (lambda p: zipped({**p, "run.py": b"x"}), "'run.py'"),
    "pickle": (lambda p: zipped({**p, "adapter_model.bin": b"\x80"}), "adapter_model.bin"),
    "twice": (lambda p: tarred(p, special(CONFIG_FILE)), "twice"),
    "symbolic link": (lambda p: tarred({}, special(WEIGHTS_FILE, tarfile.SYMTYPE)), "a link"),
    "hard link": (lambda p: tarred({}, special(WEIGHTS_FILE, tarfile.LNKTYPE)), "a link"),
    "device": (lambda p: tarred({}, special(WEIGHTS_FILE, tarfile.CHRTYPE)), "a device"),
    "pipe": (lambda p: tarred({}, special(WEIGHTS_FILE, tarfile.FIFOTYPE)), "a device"),
    "link in a zip": (lambda p: hostile.zip_link("card.json", "/etc/passwd", p), "a link"),
    "zip bomb": (hostile.zip_bomb, "larger than"),
    "understated zip": (hostile.lying_zip, "cannot be read"),
    "gzip bomb": (lambda p: hostile.gzip_bomb(), "larger than"),
    "header bomb": (lambda p: hostile.pax_bomb(), "larger than"),
    "many in a zip": (lambda p: hostile.many_members(100_000, "zip"), "more than 16 members"),
    "many folders": (lambda p: zipped({f"{n}/": b"" for n in range(17)}), "more than 16"),
    "many in a tar": (lambda p: hostile.many_members(100, "tar"), "no part of it"),
    "other compression": (lambda p: zipped(p, compression=zipfile.ZIP_LZMA), "compressed in a way"),
    "half a zip": (lambda p: zipped(p)[:-40], "cannot be read"),
    "half a gzip": (lambda p: tarred(p, mode="w:gz")[:-40], "cannot be read"),
    "no member": (lambda p: zipped({}), "holds no 'adapter_config.json'"),
    "one of two": (lambda p: zipped({CONFIG_FILE: p[CONFIG_FILE]}), f"holds no '{WEIGHTS_FILE}'"),
    "huge configuration": (lambda p: zipped({**p, CONFIG_FILE: bytes(70_000)}), "larger than"),
    "a bare pickle": (lambda p: pickle.dumps({}), "a pickle"),
    "text": (lambda p: b"<svg onload=alert(1)>", "neither a zip nor a tar"),
    "nothing": (lambda p: b"", "neither a zip nor a tar"),
}


def special(name: str, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    return hostile.special(name, kind, "/etc/passwd")


@pytest.mark.parametrize(("pack", "fact"), ARCHIVES.values(), ids=ARCHIVES)
def test_a_hostile_archive_is_refused_and_leaves_nothing_outside(
    tmp_path: Path, pack: Any, fact: str
) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    assert fact in refused(inside, {"a": pack(parts(inside))})
    assert [path.name for path in tmp_path.iterdir()] == ["inside"]
    sizes = sum(path.stat().st_size for path in (inside / "adapter").iterdir())
    assert sizes < 10_000_000


def test_other_pairs_of_files_are_refused(tmp_path: Path) -> None:
    sent = {"a.json": b"{}", WEIGHTS_FILE: b""}
    assert "neither one archive nor" in refused(tmp_path, sent)


CONFIGS = {
    "no JSON": b"{",
    "no object": b"[]",
    "deep": b"[" * 60_000,
    "not text": b"\xff\xfe{}",
    "rank as text": configured(r="8"),
    "rank as a list": configured(r=[8]),
    "rank as a fraction": configured(r=2.0),
    "true as rank": configured(r=True),
    "huge rank": configured(r=10**9),
    "huge number": b'{"r": ' + b"9" * 5000 + b"}",
    "no scale": configured(lora_alpha=0),
    "infinite scale": configured(lora_alpha=float("inf")),
    "DoRA": configured(use_dora=True),
    "bias": configured(bias="all"),
    "other kind": configured(peft_type="IA3"),
    "other task": configured(task_type="SEQ_CLS"),
    "start that changes the base": configured(init_lora_weights="pissa"),
    "start of a wrong kind": configured(init_lora_weights={"a": 1}),
    "pattern": configured(target_modules="(a+)+$"),
    "pattern in a list": configured(target_modules=["(a+)+$"]),
    "no targets": configured(target_modules=[]),
    "other quantisation": configured(loftq_config={"loftq_bits": 4}),
    "megatron": configured(megatron_config={"a": 1}),
    "further weights": configured(modules_to_save=["lm_head"]),
    "unknown key": configured(surprise=1),
    "no rank": b'{"peft_type": "LORA", "lora_alpha": 1, "target_modules": ["q_proj"]}',
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_hostile_configuration_is_refused(tmp_path: Path, config: bytes) -> None:
    refused(tmp_path, {**parts(tmp_path), CONFIG_FILE: config})


WEIGHTS = {
    "no header": b"",
    "huge header": (1 << 40).to_bytes(8, "little") + b"{}",
    "long header": weights(b" " * (9 << 20)),
    "deep header": weights(b"[" * 100_000),
    "a pickle": pickle.dumps({"a": 1}),
    "beyond the end": weights(header(B={"data_offsets": [32, 65]}), bytes(64)),
    "overlap": weights(header(B={"data_offsets": [0, 64]}), bytes(64)),
    "gap": weights(header(B={"data_offsets": [36, 68]}), bytes(68)),
    "not its shape": weights(header(A={"shape": [2, 5]}), bytes(64)),
    "negative": weights(header(A={"data_offsets": [-32, 0]}), bytes(64)),
    "fractions": weights(header(A={"data_offsets": [0.0, 32.0]}), bytes(64)),
    "text as offset": weights(header(A={"data_offsets": ["0", "32"]}), bytes(64)),
    "text as shape": weights(header(A={"shape": "24"}), bytes(64)),
    "other kind": weights(header(A={"dtype": "F64"}), bytes(64)),
    "kind of no kind": weights(header(A={"dtype": ["F32"]}), bytes(64)),
    "shape of another base": weights(
        {
            **header(A={"shape": [2, 5], "data_offsets": [0, 40]}),
            hostile.B: {"dtype": "F32", "shape": [4, 2], "data_offsets": [40, 72]},
        },
        bytes(72),
    ),
    "foreign name": weights({"x": header()[hostile.A]}, bytes(32)),
    "another module": weights(
        {name.replace("q_proj", "z_proj"): value for name, value in header().items()}, bytes(64)
    ),
}


@pytest.mark.parametrize("data", WEIGHTS.values(), ids=WEIGHTS)
def test_hostile_weights_are_refused(tmp_path: Path, data: bytes) -> None:
    refused(tmp_path, {**parts(tmp_path), WEIGHTS_FILE: data})


def test_it_all_runs_in_a_limited_process(tmp_path: Path) -> None:
    found = asyncio.run(call(take, asked(tmp_path, parts(tmp_path)), bounds=bounds_for(SHAPES)))
    assert Taken(**found).rank == 2


def test_what_is_refused_there_is_a_problem_of_the_upload(tmp_path: Path) -> None:
    wanted = asked(tmp_path, {"a.zip": hostile.zip_bomb(parts(tmp_path), 100)})
    with pytest.raises(UnfitAdapterError, match="larger than") as caught:
        asyncio.run(call(take, wanted, refused_as=UnfitAdapterError))
    assert caught.value.status == 422


def test_a_bomb_that_got_through_the_count_would_still_end_at_the_limit(tmp_path: Path) -> None:
    wide = {MODULE: Shape(rows=1 << 22, columns=1 << 22)}
    wanted = asked(tmp_path, {"a.zip": hostile.zip_bomb(parts(tmp_path), 30)}, wide)
    bounds = bounds_for(SHAPES)
    with pytest.raises(ParserError, match="what comes out of the file is larger"):
        asyncio.run(call(take, wanted, bounds=bounds))


def test_a_trained_adapter_keeps_its_digits(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "mine", rank_pattern={}, alpha_pattern={}, use_rslora=False)
    sent = {name: (folder / name).read_bytes() for name in (CONFIG_FILE, WEIGHTS_FILE)}
    assert taken(tmp_path, sent).digits == weights_hash(folder)
    assert json.loads((tmp_path / "adapter" / CONFIG_FILE).read_text())["rank_pattern"] == {}
