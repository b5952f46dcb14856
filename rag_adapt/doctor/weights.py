"""Checks of the models in use: found, whole, the recorded weights, a chat template.

It loads no model: it reads headers and hashes, which are remembered.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from rag_adapt.core.errors import ModelNotFoundError
from rag_adapt.doctor.finding import Observation, Patient, fault, ok
from rag_adapt.models.files import Kind, file_hash, weight_files, weights_hash
from rag_adapt.models.packages import DEFAULTS, Carried, carried_file
from rag_adapt.models.resolve import DEFAULT, Place, places
from rag_adapt.settings import OWN_WEIGHTS, Settings

HASHING: Final = "hashing"
"""The embedder that needs no weights."""
QUICKLY_HASHED: Final = 2_000_000_000
"""Bytes; larger weights are not hashed here, for that takes longer than all other checks."""


def language_model(patient: Patient) -> Iterator[Observation]:
    """The language model's weights and chat template."""
    settings = patient.settings
    if settings.engine not in OWN_WEIGHTS:
        yield ok(f"engine {settings.engine!r} needs no language model here")
        return
    yield from _model(settings.model, "language", settings.home)


def embedder(patient: Patient) -> Iterator[Observation]:
    """The embedder's weights."""
    settings = patient.settings
    if settings.embedder == HASHING:
        yield ok("embedder 'hashing' needs no weights")
        return
    yield from _model(settings.embedder, "embedder", settings.home)


def current_weights(settings: Settings) -> str | None:
    """Hash of the weights that adapters must fit; None where they are unknown or elsewhere."""
    if settings.engine not in OWN_WEIGHTS:
        return None
    with suppress(ModelNotFoundError):
        place = _found(settings.model, "language", settings.home)
        folder = Path(place.where)
        if not folder.is_dir():
            return DEFAULTS["language"].weights
        if _size(folder) <= QUICKLY_HASHED:
            return weights_hash(folder, home=settings.home)
    return None


def _model(name: str, kind: Kind, home: Path) -> Iterator[Observation]:
    place = _found(name, kind, home)
    where = Path(place.where)
    if where.is_file() and (packed := _carried_in(where)) is not None:
        yield from _package(packed, where, home)
        return
    yield from _folder(name, kind, where, home)


def _found(name: str, kind: Kind, home: Path) -> Place:
    looked = places(name, home=home, kind=kind)
    found = next((place for place in looked if place.found), None)
    if found is not None:
        return found
    flag = "" if kind == "language" else " --embedder"
    remedy = DEFAULTS[kind].install if name == DEFAULT else f"rag-adapt models fetch {name}{flag}"
    listed = "; ".join(f"{place.source}: {place.where} ({place.state})" for place in looked)
    raise ModelNotFoundError(
        f"no weights for {kind} model {name!r}; looked in {listed}", hint=remedy
    )


def _carried_in(file: Path) -> Carried | None:
    return next((each for each in DEFAULTS.values() if carried_file(each) == file), None)


def _package(packed: Carried, file: Path, home: Path) -> Iterator[Observation]:
    digest = file_hash(file, home=home)
    if digest != packed.file_sha256:
        yield fault(
            f"package {packed.package!r} carries other weights than the default: {digest[:12]}, "
            f"expected {packed.file_sha256[:12]}",
            remedy=packed.install,
        )
        return
    later = "; converted at first use, once, in about 30 s" if packed.convert else ""
    yield ok(f"{packed.label} ({packed.weights[:12]}) from package {packed.package!r}{later}")


def _folder(name: str, kind: Kind, folder: Path, home: Path) -> Iterator[Observation]:
    remedy = f"rag-adapt models show {name}{'' if kind == 'language' else ' --embedder'}"
    if (torn := _torn(folder)) is not None:
        yield fault(torn, remedy=f"Remove that file and get the model again; {remedy}")
        return
    if kind == "language" and not has_chat_template(folder):
        yield fault(
            f"model {name!r} in {str(folder)!r} has no chat template: it is not instruction-tuned",
            remedy="Name another one: `export RAG_ADAPT_MODEL=FOLDER-OR-HUB-ID` (often "
            "`...-Instruct`).",
        )
        return
    size = _size(folder)
    if size > QUICKLY_HASHED:
        yield ok(f"{name!r} in {str(folder)!r}: {size / 1e9:.1f} GB, not hashed here")
        return
    digest = weights_hash(folder, home=home)
    if name == DEFAULT and digest != DEFAULTS[kind].weights:
        yield fault(
            f"the default {kind} model in {str(folder)!r} has weights {digest[:12]}, expected "
            f"{DEFAULTS[kind].weights[:12]}",
            remedy=f"rm -r {folder}  (it is made again from its package)",
        )
        return
    yield ok(f"{name!r} ({digest[:12]}) in {str(folder)!r}, {size / 1e6:.0f} MB")


def _torn(folder: Path) -> str | None:
    """What is wrong with the first weight file that is cut off or damaged."""
    from safetensors import SafetensorError, safe_open

    for file in weight_files(folder):
        try:
            with safe_open(file, framework="numpy"):
                continue
        except (SafetensorError, OSError) as exc:
            return f"{str(file)!r} is damaged or was not copied whole: {exc}"
    return None


def has_chat_template(folder: Path) -> bool:
    """Whether a model's folder holds a chat template in one of the places where it may stand."""
    if any((folder / f"chat_template.{kind}").is_file() for kind in ("jinja", "json")):
        return True
    with suppress(OSError, ValueError):
        return bool(json.loads((folder / "tokenizer_config.json").read_text()).get("chat_template"))
    return False


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in weight_files(folder))
