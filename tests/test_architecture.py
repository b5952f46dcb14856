"""The shape of the house: sizes, names, doors."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "rag_adapt").rglob("*.py"))
IDS = [str(path.relative_to(ROOT)) for path in FILES]
HOUSE = [*FILES, *sorted((ROOT / "ui").rglob("*.py"))]
HOUSE_IDS = [str(path.relative_to(ROOT)) for path in HOUSE]
NAMELESS_ROOMS = {"utils", "util", "helpers", "helper", "manager", "common", "misc"}
DOORS = {
    "chromadb": {"retrieval/chroma.py"},
    "litellm": {"engines/remote.py"},
    "peft": {"engines/", "adapters/"},
    "torch": {"models/", "engines/", "adapters/", "retrieval/embed.py"},
    "transformers": {"models/", "engines/", "adapters/", "retrieval/embed.py"},
    "sentence_transformers": {"retrieval/embed.py", "retrieval/refine.py"},
}
"""Where a vendor's library may be imported, lazily or not."""
HEAVY = {*DOORS, "langchain_core", "scipy", "statsmodels", "datasets"}


def _imports(tree: ast.AST) -> Iterator[tuple[str, bool]]:
    """Top-level package names that a module imports, and whether at its top level."""
    top = {id(node) for node in getattr(tree, "body", [])}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name.split(".")[0], id(node) in top
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module.split(".")[0], id(node) in top


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", HOUSE, ids=HOUSE_IDS)
def test_a_file_is_under_400_lines_and_says_what_it_is_for(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) < 400
    assert ast.get_docstring(ast.parse(text)), f"{path} has no docstring"


@pytest.mark.parametrize("path", HOUSE, ids=HOUSE_IDS)
def test_a_function_body_is_under_50_lines(path: Path) -> None:
    for function in _functions(ast.parse(path.read_text())):
        body = function.body[1:] if ast.get_docstring(function) else function.body
        if body:
            length = (body[-1].end_lineno or 0) - body[0].lineno + 1
            assert length < 50, f"{function.name} has {length} lines"


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_a_vendors_library_stays_behind_its_door(path: Path) -> None:
    inside = str(path.relative_to(ROOT / "rag_adapt"))
    for package, at_top in _imports(ast.parse(path.read_text())):
        if package in DOORS:
            assert any(inside.startswith(door) for door in DOORS[package]), package
        assert not (package in HEAVY and at_top), f"{package} is imported at the top"


def test_folders_have_names_of_their_own() -> None:
    names = {part for path in HOUSE for part in path.with_suffix("").parts}
    assert not names & NAMELESS_ROOMS


def test_only_settings_and_wiring_read_the_environment() -> None:
    readers = {
        str(path.relative_to(ROOT / "rag_adapt"))
        for path in FILES
        if re.search(r"os\.environ|os\.getenv", path.read_text())
    }
    assert readers <= {
        "models/native.py",
        "engines/remote.py",
        "engines/remote_calls.py",
        "engines/vllm_server.py",  # hands it on to the server, without the variables of resolvers
        "retrieval/chroma.py",
    }


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys; from rag_adapt.cli.app import run; code = run(['--help']);"
        f"print(sorted(set({sorted(HEAVY)!r}) & set(sys.modules)), file=sys.stderr);"
        "raise SystemExit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert done.stderr.strip() == "[]"


def test_nothing_is_left_unfinished() -> None:
    marks = re.compile(r"TODO|FIXME|XXX|NotImplementedError|pragma: no cover")
    marked = [str(path) for path in HOUSE if marks.search(path.read_text())]
    assert marked == []
