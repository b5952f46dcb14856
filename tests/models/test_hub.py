"""The hub's cache and what is said when the hub refuses."""

from pathlib import Path

import httpx
import pytest
from huggingface_hub.errors import RepositoryNotFoundError

from rag_adapt.core.errors import ModelNotFoundError
from rag_adapt.models.hub import cache_root, cached_folder, fetch, is_repo


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("owner/model", True),
        ("gpt2", True),
        ("a/b/c", False),
        ("../up", False),
        ("/abs", False),
        ("", False),
    ],
)
def test_hub_ids_have_one_form(name: str, expected: bool) -> None:
    assert is_repo(name) is expected


def test_the_cache_is_the_libraries_own_unless_named(tmp_path: Path) -> None:
    assert cache_root(tmp_path) == tmp_path
    assert cache_root().name == "hub"


def test_a_name_that_is_no_hub_id_is_never_in_the_cache(tmp_path: Path) -> None:
    assert cached_folder("../x", tmp_path) is None


def test_fetch_gives_the_downloaded_folder(tmp_path: Path) -> None:
    assert fetch("a/b", tmp_path, download=lambda *_, **__: str(tmp_path)) == tmp_path


def test_a_refusal_by_the_hub_is_told_with_its_reason(tmp_path: Path) -> None:
    def refuse(*_: object, **__: object) -> str:
        request = httpx.Request("GET", "https://localhost")
        response = httpx.Response(404, request=request)
        raise RepositoryNotFoundError("404: no such repository", response=response)

    with pytest.raises(ModelNotFoundError, match="404: no such repository"):
        fetch("a/b", tmp_path, download=refuse)
