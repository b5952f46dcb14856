"""The Hugging Face hub: what its cache on this machine holds, and fetching into it.

It does not know defaults or packages. Only `fetch` reaches the network.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from rag_adapt.core.errors import ModelNotFoundError
from rag_adapt.models.files import weight_files

REPO: Final = re.compile(r"[\w.-]+(/[\w.-]+)?")
WANTED: Final = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja", "1_Pooling/*")
"""Files that loading needs: never pickles, never code."""


def is_repo(name: str) -> bool:
    """Whether a name has the form of a hub id: `model` or `owner/model`."""
    return REPO.fullmatch(name) is not None and not name.startswith((".", "-"))


def cache_root(cache: Path | None = None) -> Path:
    """Where the hub's cache lies on this machine."""
    if cache is not None:
        return cache
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def cached_folder(name: str, cache: Path | None = None) -> Path | None:
    """The snapshot of a repository's main branch in the cache, if it holds a whole model."""
    if not is_repo(name):
        return None
    repository = cache_root(cache) / f"models--{name.replace('/', '--')}"
    reference = repository / "refs" / "main"
    if not reference.is_file():
        return None
    snapshot = repository / "snapshots" / reference.read_text().strip()
    return snapshot if weight_files(snapshot) else None


def fetch(
    name: str, cache: Path | None = None, *, download: Callable[..., str] | None = None
) -> Path:
    """Download a repository's weights and tokenizer into the hub's cache.

    Args:
        name: The repository.
        cache: The hub's cache; the library's own where None.
        download: `huggingface_hub.snapshot_download` where None.

    Raises:
        ModelNotFoundError: no such repository, or the hub cannot be reached.
    """
    import httpx
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    if not is_repo(name):
        raise ModelNotFoundError(
            f"{name!r} is no hub id",
            hint="A hub id looks like HuggingFaceTB/SmolLM2-135M-Instruct.",
        )
    get = download or snapshot_download
    try:
        return Path(get(name, cache_dir=cache, allow_patterns=list(WANTED)))
    except HfHubHTTPError as exc:
        raise ModelNotFoundError(
            f"the hub does not give {name!r}: {_first_line(exc)}",
            hint="Check the id on the hub; log in with `hf auth login` for a private model.",
        ) from exc
    except (LocalEntryNotFoundError, ConnectionError, httpx.TransportError) as exc:
        raise ModelNotFoundError(
            f"cannot fetch {name!r}: the hub cannot be reached ({_first_line(exc)})",
            hint="Check the connection (and that HF_HUB_OFFLINE is not set), then run "
            f"`rag-adapt models fetch {name}` again; or name a local folder with --model.",
        ) from exc


def _first_line(exc: Exception) -> str:
    return next(iter(str(exc).splitlines()), type(exc).__name__)
