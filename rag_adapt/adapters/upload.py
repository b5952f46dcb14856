"""Makes a plain adapter folder of what a stranger sent, or says why it is none.

It does not know the store, HTTP or weights in memory. It runs in a limited process: of what was
sent only numbers and names that were checked are kept, and the configuration is written anew.
"""

import json
import math
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Final

from rag_adapt.adapters.archive import CHUNK, PACK, opened, too_large
from rag_adapt.adapters.check import (
    CONFIG_FILE,
    PICKLES,
    RANKS,
    TENSOR,
    WEIGHTS_FILE,
    Tensor,
    read_header,
    validate,
    weights_hash,
)
from rag_adapt.core.errors import AdapterError
from rag_adapt.limited.bounds import Bounds

NEEDED: Final = (CONFIG_FILE, WEIGHTS_FILE)
PASSED_OVER: Final = ("README.md", "card.json", "probe.json")
"""What may lie beside them and is not read: claims of others."""
CONFIG_BYTES: Final = 65_536
HEADER_BYTES: Final = 8 << 20
SIZES: Final = {"F32": 4, "F16": 2, "BF16": 2}
"""Bytes of a number."""
DROPPED: Final = frozenset(
    {
        "auto_mapping",
        "base_model_name_or_path",
        "inference_mode",
        "init_lora_weights",
        "lora_dropout",
        "megatron_core",
        "peft_version",
        "qalora_group_size",
        "revision",
    }
)
"""Keys that say nothing about what the weights compute; never followed, never kept."""
LONGEST_CLAIM: Final = 200
_MODULE: Final = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")
_HINT: Final = (
    "Upload a plain LoRA as PEFT's `save_pretrained` writes it, trained for the base model of "
    "this service."
)


class UnfitAdapterError(AdapterError):
    """What was uploaded is no adapter that could be served."""

    code = "adapter-unfit"
    status = 422


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The weights of a linear module of the base model."""

    rows: int
    """Numbers that come out."""
    columns: int
    """Numbers that go in."""


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What is known about an adapter that was taken in."""

    digits: str
    """Content hash, as in a version."""
    rank: int
    alpha: float
    claimed_base: str | None
    """The base model's name in the configuration, as it was sent; nothing is looked up by it."""
    claimed_peft: str | None


def base_shapes(files: Collection[Path]) -> dict[str, Shape]:
    """The linear modules of a base model, by name, from the headers of its weight files."""
    return {
        name.removesuffix(".weight"): Shape(rows=tensor.shape[0], columns=tensor.shape[1])
        for file in files
        for name, tensor in read_header(file).items()
        if name.endswith(".weight") and len(tensor.shape) == 2
    }


def bounds_for(shapes: Mapping[str, Shape]) -> Bounds:
    """What taking in an adapter for these modules may use up."""
    return Bounds(
        seconds=180, cpu_seconds=120, memory_bytes=1 << 30, file_bytes=_most_bytes(shapes)
    )


def order(sent: Mapping[str, Path], folder: Path, shapes: Mapping[str, Shape]) -> dict[str, Any]:
    """What `take` is asked, as plain JSON.

    Args:
        sent: The files by the names that they were sent under: an archive, or the two files.
        folder: An empty one, where the adapter is to be made.
        shapes: The base model's modules.
    """
    return {
        "sent": {name: str(path) for name, path in sent.items()},
        "folder": str(folder),
        "shapes": {name: asdict(shape) for name, shape in shapes.items()},
    }


def take(asked: dict[str, Any]) -> dict[str, Any]:
    """Check what `order` describes and write it as a plain adapter.

    Returns:
        The fields of `Taken`.

    Raises:
        AdapterError: it is no adapter, or none for these modules; or could do harm.
    """
    folder = Path(asked["folder"])
    shapes = {name: Shape(**shape) for name, shape in asked["shapes"].items()}
    sent = {name: Path(path) for name, path in asked["sent"].items()}
    _collect(sent, folder, most=_most_bytes(shapes))
    for name in NEEDED:
        if not (folder / name).is_file():
            raise AdapterError(f"the upload holds no {name!r}", hint=PACK)
    config = _read_config(folder / CONFIG_FILE)
    tensors = _read_tensors(folder / WEIGHTS_FILE)
    (folder / CONFIG_FILE).write_text(json.dumps(_plain(config), indent=2), encoding="utf-8")
    validate(folder, base_modules=shapes)
    if config.get("fan_in_fan_out"):  # such modules hold their weights the other way round
        shapes = {name: Shape(rows=s.columns, columns=s.rows) for name, s in shapes.items()}
    modules = _check_shapes(tensors, shapes)
    plain = _covered(_plain(config), modules, shapes)
    (folder / CONFIG_FILE).write_text(json.dumps(plain, indent=2), encoding="utf-8")
    taken = Taken(
        digits=weights_hash(folder),
        rank=config["r"],
        alpha=config["lora_alpha"],
        claimed_base=_claim(config, "base_model_name_or_path"),
        claimed_peft=_claim(config, "peft_version"),
    )
    return asdict(taken)


def _most_bytes(shapes: Mapping[str, Shape]) -> int:
    """No adapter of the base model is larger: the largest rank on every module, in float32."""
    vectors = sum(shape.rows + shape.columns for shape in shapes.values())
    return max(RANKS) * vectors * max(SIZES.values()) + HEADER_BYTES


def _collect(sent: Mapping[str, Path], folder: Path, *, most: int) -> None:
    """Copy the files that count into the folder."""
    if set(sent) <= {*NEEDED, *PASSED_OVER} and len(sent) > 1:
        for name in sent:
            with sent[name].open("rb") as stream:
                most -= _copy(name, stream, folder, most=most)
        return
    if len(sent) != 1:
        raise AdapterError("the files sent are neither one archive nor an adapter's two", hint=PACK)
    (archive,) = sent.values()
    _refuse_pickle(archive)
    with opened(archive, known={*NEEDED, *PASSED_OVER}, most=most) as members:
        for member in members:
            most -= _copy(member.name, member.stream, folder, most=most)


def _refuse_pickle(file: Path) -> None:
    """A bare pickle is told from an archive: the remedy is another one."""
    with file.open("rb") as stream:
        head = stream.read(2)
    if head[:1] == b"\x80":
        raise AdapterError(
            "the upload is a pickle, which can run code when it is loaded",
            hint=f"Save the adapter as {WEIGHTS_FILE}; endings such as "
            f"{', '.join(sorted(PICKLES))} are never read.",
        )


def _copy(name: str, stream: IO[bytes], folder: Path, *, most: int) -> int:
    """How many bytes were copied, or passed over.

    Raises:
        AdapterError: more than `most`, or than a configuration has.
    """
    limit = min(most, CONFIG_BYTES) if name == CONFIG_FILE else most
    with (folder / name).open("xb") as kept:
        size = 0
        while chunk := stream.read(min(CHUNK, limit + 1)):
            size += len(chunk)
            if size > limit:
                raise too_large(limit)
            if name in NEEDED:
                kept.write(chunk)
    if name not in NEEDED:
        (folder / name).unlink()
    return size


def _read_config(file: Path) -> dict[str, Any]:
    """The configuration, every value that is kept being of its kind.

    Raises:
        AdapterError: it is none, or uses what is not served.
    """
    try:
        config = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise AdapterError(f"{CONFIG_FILE} is not JSON that can be read", hint=_HINT) from error
    if not isinstance(config, dict):
        raise AdapterError(f"{CONFIG_FILE} is not a JSON object", hint=_HINT)
    for key, value in config.items():
        rule = _RULES.get(key)
        if rule is None and key not in DROPPED and value:
            raise AdapterError(f"the adapter uses {key[:60]!r}, which is not served", hint=_HINT)
        if rule is not None and not rule(value):
            raise AdapterError(
                f"{key!r} of {CONFIG_FILE} is {repr(value)[:80]}, which is not served", hint=_HINT
            )
    if missing := sorted({"peft_type", "r", "lora_alpha", "target_modules"} - set(config)):
        raise AdapterError(f"{CONFIG_FILE} has no {missing[0]!r}", hint=_HINT)
    start = config.get("init_lora_weights", True)
    if start not in (True, False, "gaussian", "orthogonal"):
        raise AdapterError(
            f"the adapter's start {repr(start)[:80]} changes the base weights", hint=_HINT
        )
    return config


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and 0 < value <= 65_536


def _is_target(value: Any) -> bool:
    """Names alone: PEFT takes any other text for a pattern, and patterns can take for ever."""
    if not isinstance(value, list):
        return bool(value == "all-linear")
    names = all(isinstance(name, str) and _MODULE.fullmatch(name) for name in value)
    return 0 < len(value) <= 20_000 and names


_RULES: Final = {
    "peft_type": lambda value: value == "LORA",
    "task_type": lambda value: value in (None, "CAUSAL_LM"),
    "r": lambda value: type(value) is int and value in RANKS,
    "lora_alpha": _is_number,
    "bias": lambda value: value == "none",
    "fan_in_fan_out": lambda value: isinstance(value, bool),
    "use_rslora": lambda value: isinstance(value, bool),
    "target_modules": _is_target,
}
"""Of the keys whose values are kept, which values are."""
_OFF: Final = ("alpha_pattern", "rank_pattern", "use_dora")
"""Keys that count for the content hash and must be off."""


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration without what is not kept; the same weights keep their hash."""
    kept = {key: config[key] for key in (*_RULES, *_OFF) if key in config}
    return {**kept, "task_type": "CAUSAL_LM", "inference_mode": True}


def _read_tensors(file: Path) -> dict[str, Tensor]:
    """The header of the weights, if the data is exactly what it says.

    Raises:
        AdapterError: too long a header, or tensors that overlap, leave gaps or have odd numbers.
    """
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
    if length > HEADER_BYTES:
        raise AdapterError(f"{WEIGHTS_FILE} has a header of {length} bytes", hint=_HINT)
    try:
        tensors = read_header(file)
    except RecursionError as error:
        raise AdapterError(f"the header of {WEIGHTS_FILE} is nested too deeply", hint=_HINT) from (
            error
        )
    if problem := next(_layout_problems(tensors), None):
        raise AdapterError(f"{WEIGHTS_FILE} is corrupt: {problem}", hint=_HINT)
    return tensors


def _layout_problems(tensors: Mapping[str, Tensor]) -> Iterator[str]:
    end = 0
    for name, tensor in sorted(tensors.items(), key=lambda pair: _start(pair[1])):
        shown = repr(name[:120])
        numbers = (*tensor.shape, tensor.start, tensor.end)
        if not all(type(number) is int and number >= 0 for number in numbers):
            yield f"tensor {shown} has sizes that are no numbers"
        elif tensor.dtype not in tuple(SIZES):  # what was sent may not even hash
            yield f"tensor {shown} has the kind {str(tensor.dtype)[:20]!r}"
        elif tensor.start != end:
            yield f"tensor {shown} does not begin where the one before it ends"
        elif tensor.end - tensor.start != math.prod(tensor.shape) * SIZES[tensor.dtype]:
            yield f"tensor {shown} has not the bytes of its shape"
        end = tensor.end


def _start(tensor: Tensor) -> int:
    return tensor.start if type(tensor.start) is int else -1


def _check_shapes(tensors: Mapping[str, Tensor], shapes: Mapping[str, Shape]) -> set[str]:
    """The modules that are adapted, each of the base model's size; `validate` came before.

    Raises:
        AdapterError: a matrix is too long or too short for its module.
    """
    modules = set()
    for name, tensor in tensors.items():
        match = TENSOR.fullmatch(name)
        assert match is not None  # `validate` refuses other names
        shape = shapes[match["module"]]
        outside = tensor.shape[1 if match["side"] == "A" else 0]
        wanted = shape.columns if match["side"] == "A" else shape.rows
        if outside != wanted:
            raise AdapterError(
                f"tensor {name[:120]!r} has {outside} numbers a vector, its module {wanted}",
                hint=_HINT,
            )
        modules.add(match["module"])
    return modules


def _covered(
    config: dict[str, Any], modules: Collection[str], shapes: Mapping[str, Shape]
) -> dict[str, Any]:
    """The configuration with targets that mean exactly the modules that have weights."""
    targets = config["target_modules"]
    if isinstance(targets, list):
        ends = tuple(f".{target}" for target in targets)
        meant = {name for name in shapes if name in targets or name.endswith(ends)}
        if meant == set(modules):
            return config
    return {**config, "target_modules": sorted(modules)}


def _claim(config: Mapping[str, Any], key: str) -> str | None:
    value = config.get(key)
    if not isinstance(value, str) or not value:
        return None
    return "".join(c if c.isprintable() else "?" for c in value[:LONGEST_CLAIM])
