"""The client imports wire models and words of the core, and loads nothing of the service."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import rag_adapt.client

FOLDER = Path(rag_adapt.client.__file__).parent
OURS = ("rag_adapt.client", "rag_adapt.schemas", "rag_adapt.core")
OTHERS = {"httpx", "pydantic"}
HEAVY = ("fastapi", "torch", "transformers", "chromadb", "scipy", "streamlit", "uvicorn", "litellm")


def imported() -> Iterator[str]:
    for file in FOLDER.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                version = node.module == "rag_adapt" and node.names[0].name == "__version__"
                yield "rag_adapt.core" if version else node.module


def test_its_modules_import_only_what_a_program_on_another_machine_needs() -> None:
    ours = {name for name in imported() if name.split(".")[0] == "rag_adapt"}
    assert {name for name in ours if not name.startswith(OURS)} == set()
    others = {name.split(".")[0] for name in imported()} - {"rag_adapt"}
    assert others - sys.stdlib_module_names == OTHERS


def test_to_import_it_loads_nothing_heavy() -> None:
    script = f"import sys, rag_adapt.client; print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
