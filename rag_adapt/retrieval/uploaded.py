"""Reads uploaded documents inside a limited process, to say which of them cannot be used.

It does not know HTTP or collections; indexing reads the documents again.
"""

from pathlib import Path
from typing import Any, Final

from rag_adapt.limited.bounds import Bounds
from rag_adapt.retrieval.parse import FileReader
from rag_adapt.retrieval.parsers.parsed import UnusableError
from rag_adapt.retrieval.scan import scan_folder

BOUNDS: Final = Bounds(seconds=60, cpu_seconds=30, memory_bytes=1 << 30)


def check_documents(asked: dict[str, Any]) -> dict[str, Any]:
    """Read the documents `files` of `folder` as indexing will; `failed`: why which cannot be."""
    files = frozenset(asked["files"])
    scan = scan_folder(Path(asked["folder"]))
    failed = {one.path: one.reason for one in scan.failed if one.path in files}
    with FileReader(confined=True) as reader:
        for file in scan.files:
            if file.name in files:
                try:
                    reader.read(file)
                except UnusableError as error:
                    failed[file.name] = str(error)
    return {"failed": failed}
