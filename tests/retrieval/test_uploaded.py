"""Uploaded documents are read once by a confined process before they are kept."""

import asyncio
from pathlib import Path

import pytest

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


def checked(folder: Path) -> dict[str, object]:
    asked = {"folder": str(folder)}
    return asyncio.run(call(check_documents, asked, refused_as=CollectionError, bounds=BOUNDS))


def test_every_kind_is_taken(tmp_path: Path) -> None:
    assert checked(write_corpus(tmp_path, SOUND)) == {}


def test_what_cannot_be_read_is_named_with_its_reason(tmp_path: Path) -> None:
    bad = {"bomb.docx": bare_docx("x", bomb=1 << 40), **{f"{n}.pdf": b"" for n in range(5)}}
    write_corpus(tmp_path, {**SOUND, **bad})
    with pytest.raises(CollectionError) as caught:
        checked(tmp_path)
    assert "0.pdf: empty" in caught.value.fact
    assert "and 1 more" in caught.value.fact


def test_an_upload_of_nothing_readable_names_no_folder(tmp_path: Path) -> None:
    with pytest.raises(CollectionError, match="the upload holds no usable document") as caught:
        checked(write_corpus(tmp_path, {"a.pdf": b"x"}))
    assert str(tmp_path) not in caught.value.fact
