"""Uploaded documents are read once by a confined process before they are kept."""

import asyncio
from pathlib import Path

from rag_adapt.core.errors import CollectionError
from rag_adapt.limited.call import call
from rag_adapt.retrieval.uploaded import BOUNDS, check_documents
from tests.retrieval.fakes import write_corpus
from tests.retrieval.made import bare_docx, docx, pdf

SOUND: dict[str, str | bytes] = {
    "a.pdf": pdf([["Text."]]),
    "b.docx": docx([("Normal", "Text.")]),
    "c.html": "<p>Text.</p>",
    "d.csv": "a,b\n1,2\n",
    "e.jsonl": '{"a": 1}\n',
    "f.txt": "Gr\xfc\xdfe aus K\xf6ln, \xfcber die Br\xfccke.".encode("cp1252"),
}


def unusable(folder: Path) -> dict[str, str]:
    """Of all files of a folder those that cannot be used, with the reason."""
    asked = {"folder": str(folder), "files": [file.name for file in folder.iterdir()]}
    told = call(check_documents, asked, refused_as=CollectionError, bounds=BOUNDS)
    failed = asyncio.run(told)["failed"]
    assert isinstance(failed, dict)
    return failed


def test_every_kind_is_taken(tmp_path: Path) -> None:
    assert unusable(write_corpus(tmp_path, SOUND)) == {}


def test_what_cannot_be_read_is_named_with_its_reason_beside_what_can(tmp_path: Path) -> None:
    bad = {"bomb.docx": bare_docx("x", bomb=1 << 40), "none.pdf": b"", "half.pdf": b"x"}
    failed = unusable(write_corpus(tmp_path, {**SOUND, **bad}))
    assert failed.keys() == bad.keys()
    assert "empty" in failed["none.pdf"]
    assert str(tmp_path) not in " ".join(failed.values())
