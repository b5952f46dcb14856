"""Requests that do what they ask for, put into some of the generated ones: by chance few would.

It does not know how requests are generated or judged.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.adapters.samples import MODULE, write_adapter

SKILL = "colours"
MODEL = f"route:prompt/{SKILL}"
KNOWN = {"model": MODEL, "models": [MODEL], "skill": SKILL, "skills": [SKILL], "arms": ["prompt"]}
"""What generated bodies name where they name anything: else nothing would ever be made."""
QUESTION = "train thing number 1: blue"
RANK, HIDDEN = 2, 64
"""Of an adapter for the tiny model."""
Files = tuple[tuple[str, tuple[str, bytes]], ...]


@dataclass(frozen=True, kw_only=True)
class Material:
    """What a request is given in place of what was generated."""

    body: Mapping[str, Any] | None = None
    """JSON."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """Of a form."""
    files: Files = ()
    name: str | None = None
    """The resource in the path, unless the path names one that is there."""
    most: int = 40
    """How many requests of a test are given it."""


Make = Callable[[int], Material]
"""The material of the first, second, ... request of an operation."""


def run(number: int) -> Material:
    """A benchmark of a second."""
    body = {"skills": [SKILL], "arms": ["prompt"], "items": 2, "tune": 0, "latency_items": 0}
    return Material(body={**body, "guard": False, "probe": False, "choice": False, "seed": number})


def training(number: int) -> Material:
    return Material(body={"skill": SKILL, "examples": 4, "seed": number})


def text(number: int) -> Material:
    """A short document for a new collection."""
    body = {"name": "tides.md", "text": f"# Tides\n\nThe tide of day {number} is high.\n"}
    return Material(body=body, name=f"made-{number}", most=12)


def documents(number: int) -> Material:
    """Two short documents, one of them of no known kind."""
    sent = (("notes.md", b"# Notes\n\nThe gate is green.\n"), ("odd.exe", b"MZ"))
    files = tuple(("documents", one) for one in sent)
    return Material(files=files, name=f"sent-{number}", most=12)


def skill(number: int) -> Material:
    """A small table."""
    rows = "".join(f"word {row},{('red', 'blue')[row % 2]}\n" for row in range(24))
    files = (("file", ("words.csv", f"input,target\n{rows}".encode())),)
    return Material(fields={"name": f"words-{number}"}, files=files, most=3)


def adapter(folder: Path) -> Make:
    """A LoRA for the tiny model, as PEFT writes it."""
    sides = {"A": (RANK, HIDDEN), "B": (HIDDEN, RANK)}
    shapes = {f"base_model.model.{MODULE}.lora_{side}.weight": s for side, s in sides.items()}
    made = write_adapter(folder, fill=0.1, shapes=shapes)
    names = ("adapter_config.json", "adapter_model.safetensors")
    files = tuple(("files", (name, (made / name).read_bytes())) for name in names)

    def make(number: int) -> Material:
        return Material(fields={"name": f"hues-{number}", "skill": SKILL}, files=files, most=3)

    return make


def question(number: int) -> Material:
    message = {"role": "user", "content": QUESTION}
    return Material(body={"model": MODEL, "messages": [message]})


def prompt(number: int) -> Material:
    return Material(body={"model": MODEL, "prompt": QUESTION})


def search(number: int) -> Material:
    return Material(body={"query": "when is the tide high", "k": 2, "mode": "lexical"})


def talk(number: int) -> Material:
    return Material(body={"models": [MODEL], "title": "Colours"})


def turn(number: int) -> Material:
    return Material(body={"question": QUESTION})


def materials(folder: Path) -> dict[str, Make]:
    """By operation.

    Args:
        folder: Where an adapter may be written.
    """
    return {
        "POST /v1/runs": run,
        "POST /v1/adapters": training,
        "POST /v1/adapters/upload": adapter(folder),
        "POST /v1/collections/{name}/texts": text,
        "POST /v1/collections/{name}/documents": documents,
        "POST /v1/collections/{name}/search": search,
        "POST /v1/skills:import": skill,
        "POST /v1/conversations": talk,
        "POST /v1/conversations/{id}/turns": turn,
        "POST /v1/chat/completions": question,
        "POST /v1/completions": prompt,
    }
