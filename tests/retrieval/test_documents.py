"""A folder as users have it: every kind of file, sound and hostile, found and cited."""

from pathlib import Path

import pytest

from rag_adapt.retrieval.build import BuildReport, build_collection
from rag_adapt.retrieval.check import check_collection
from rag_adapt.retrieval.collection import Collection
from rag_adapt.retrieval.progress import documents_of
from tests.retrieval.fakes import CountingEmbedder, write_corpus
from tests.retrieval.made import LAUGHS, bare_docx, docx, locked_pdf, pdf, with_objects

LOOP = with_objects(["<< /Type /Catalog /Pages 2 0 R >>", "<< /Kids [2 0 R] /Count 9 >>"])
SOUND: dict[str, str | bytes] = {
    "manual.pdf": pdf(
        [
            ["Filling", "The kettle holds 1.7 litres of water."],
            ["Descaling", "Boil vinegar in it every month."],
            ["Warranty", "It lasts three years."],
        ],
        {"Filling": 0, "Descaling": 1, "Warranty": 2},
    ),
    "faq/returns.html": "<h1>Returns</h1><h2>Address</h2><p>Send it to <b>Ghent</b>.</p>"
    "<script>steal()</script>",
    "letter.docx": docx([("Heading 1", "Repairs"), ("Normal", "The spring costs nine euros.")]),
    "parts.csv": "part,price\nlid,4\nspout,7\n",
    "log.jsonl": '{"event": "delivery", "city": "Aarhus"}\n',
    "notes.txt": "The colour is called aubergine.\u200b\n".encode(),
    "old.txt": "Schöne Grüße aus Köln, über die Brücke geht es zur größten Fähre.".encode("cp1252"),
}
HOSTILE: dict[str, str | bytes] = {
    "bomb.docx": bare_docx("x", bomb=1 << 40),
    "entities.docx": bare_docx("&i;", before=LAUGHS),
    "escape.docx": bare_docx("x", {"../../../evil.txt": "x"}),
    "broken.pdf": b"%PDF-1.7\nbroken",
    "empty.pdf": b"",
    "image.pdf": b"\x89PNG\r\n\x1a\n",
    "locked.pdf": locked_pdf("word"),
    "loop.pdf": LOOP,
    "nested.jsonl": "[" * 100_000 + "]" * 100_000,
    "nul.md": b"a\0b",
    "outside.docx": bare_docx(
        "&e;", before='<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
    ),
    "program.exe": b"MZ",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("indexes") / "mixed"


@pytest.fixture(scope="module")
def report(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> BuildReport:
    source = write_corpus(tmp_path_factory.mktemp("source"), {**SOUND, **HOSTILE})
    with (source / "huge.pdf").open("wb") as sparse:
        sparse.truncate(1 << 30)
    return build_collection(folder, source, CountingEmbedder())


@pytest.mark.parametrize(
    ("question", "document", "page", "said"),
    [
        ("how many litres of water", "manual.pdf", 1, "holds 1.7 litres of water"),
        ("vinegar every month", "manual.pdf", 2, "Boil vinegar in it every month."),
        ("three years", "manual.pdf", 3, "It lasts three years."),
        ("send to Ghent", "faq/returns.html", None, "Send it to Ghent."),
        ("spring euros", "letter.docx", None, "The spring costs nine euros."),
        ("spout price", "parts.csv", None, "part: spout\nprice: 7"),
        ("delivery Aarhus", "log.jsonl", None, "city: Aarhus"),
        ("aubergine", "notes.txt", None, "called aubergine."),
        ("Fähre", "old.txt", None, "größten Fähre"),
    ],
)
@pytest.mark.usefixtures("report")
def test_a_passage_is_found_and_cited_where_it_stands(
    folder: Path, question: str, document: str, page: int | None, said: str
) -> None:
    with Collection.open(folder, CountingEmbedder()) as collection:
        hit = collection.search(question, 1, "lexical")[0]
        text = collection.text(hit.document)
        assert (hit.document, collection.page(hit.document, hit.start)) == (document, page)
    assert said in hit.text
    assert text[hit.start : hit.end] == hit.text


@pytest.mark.usefixtures("report")
def test_the_titles_above_a_passage_are_searched_with_it(folder: Path) -> None:
    with Collection.open(folder) as collection:
        assert collection.search("returns address", 1, "lexical")[0].document == "faq/returns.html"
        assert collection.search("repairs", 1, "lexical")[0].document == "letter.docx"


def test_a_hostile_file_fails_alone_and_says_why(folder: Path, report: BuildReport) -> None:
    assert {each.path for each in report.failed} == {*HOSTILE, "huge.pdf"}
    assert report.documents == len(SOUND)
    assert all(each.reason for each in report.failed)
    assert check_collection(folder) == []


def test_every_file_has_a_state(folder: Path, report: BuildReport) -> None:
    found = {each.path: each for each in documents_of(folder)}
    assert {each.state for each in found.values()} == {"indexed", "failed"}
    assert (found["manual.pdf"].pages, found["manual.pdf"].chunks) == (3, 3)
    assert found["loop.pdf"].reason is not None
    assert "invisible characters removed: U+200B" in found["notes.txt"].notes[0]
    assert report.notes["old.txt"][0].startswith("read as cp125")
