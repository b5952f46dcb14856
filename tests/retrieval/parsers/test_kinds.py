"""Every kind of document becomes text with headings, pages and notes, or says why not."""

from pathlib import Path

import pytest

from rag_adapt.core.errors import CollectionError
from rag_adapt.retrieval.parsers import kinds
from rag_adapt.retrieval.parsers.kinds import KINDS, parse_bytes, parse_file
from rag_adapt.retrieval.parsers.parsed import Parsed, UnusableError
from tests.retrieval.made import LAUGHS, archive, bare_docx, docx, locked_pdf, pdf, with_objects

CATALOG = "<< /Type /Catalog /Pages 2 0 R >>"
PAGE = """
<html><head><title>No</title><style>p {}</style></head><body><!-- no -->
<h1>Care <b>and</b>\n use</h1><script>no()</script><p>Rinse it<br>well.<p hidden>no
<div>One <em>two</em>three<div>four</div>five</div>
<ul><li>a<li>b</ul><table><tr><th>x<th>y<tr><td>1<td>2</table>
<pre># no heading\n  kept</pre><p style="display: none">no</p><img alt="A lid" src="http://x/y.png">
"""


def text_of(suffix: str, raw: bytes) -> str:
    return parse_bytes(KINDS[suffix], raw).text


def reason_for(suffix: str, raw: bytes) -> str:
    with pytest.raises(UnusableError) as caught:
        parse_bytes(KINDS[suffix], raw)
    return str(caught.value)


def test_a_page_becomes_what_a_reader_of_it_sees() -> None:
    found = parse_bytes(KINDS[".html"], PAGE.encode())
    assert found.text == (
        "# Care and use\n\nRinse it\nwell.\n\nOne twothree\n\nfour\n\nfive\n\n- a\n- b\n\n"
        "x | y\n1 | 2\n\n```\n# no heading\n  kept\n```\n\nA lid"
    )
    assert found.notes == ("2 hidden elements left out",)


def test_a_page_says_which_encoding_it_is_in() -> None:
    found = parse_bytes(KINDS[".htm"], '<meta charset="ISO-8859-2"><p>łąka'.encode("iso8859-2"))
    assert (found.text, found.notes) == ("łąka", ("read as iso8859-2",))


@pytest.mark.parametrize(
    ("declared", "text"),
    [
        ("latin1", "caf\u00e9 \u2019"),
        ("no-such-thing", "caf\u00e9 \u2019"),
        ("utf-7", "caf\u00e9 \u2019"),
    ],
)
def test_a_declaration_is_taken_as_browsers_take_it(declared: str, text: str) -> None:
    raw = f'<meta charset="{declared}"><p>{text}</p>'.encode("cp1252")
    assert text_of(".html", raw).startswith("caf\u00e9")


def test_a_pdf_has_pages_and_the_headings_of_its_outline() -> None:
    pages = [["Filling", "The kettle holds 1.7 litres."], [], ["Care", "Rinse it."]]
    found = parse_bytes(KINDS[".pdf"], pdf(pages, {"Filling": 0, "Care": 2, "Elsewhere": 2}))
    assert found.text == "# Filling\n\nThe kettle holds 1.7 litres.\n\n\n\n# Care\n\nRinse it."
    assert [found.text[start : start + 6] for start in found.pages] == [
        "# Fill",
        "\n\n# Ca",
        "# Care",
    ]
    assert found.notes == ("1 of 3 pages hold no text",)


def test_a_docx_keeps_headings_lists_and_tables_in_their_order() -> None:
    blocks = [("Title", "Manual"), ("Heading 2", "Care"), ("Normal", "Rinse."), ("Normal", " ")]
    raw = docx([*blocks, ("List Bullet", "one"), ("table", "a|b;c|d"), ("Normal", "End.")])
    assert text_of(".docx", raw) == (
        "# Manual\n\n## Care\n\nRinse.\n\n- one\n\na | b\nc | d\n\nEnd."
    )


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("a;b\n1;x, y\n2;z\n", "a: 1\nb: x, y\n\na: 2\nb: z"),
        ("a,b\n1,\n\n2,z,more\n", "a: 1\n\na: 2\nb: z\ncolumn 3: more"),
        ('name\n"two\nlines"\n', "name: two\nlines"),
    ],
    ids=["semicolons", "gaps", "one column"],
)
def test_a_table_becomes_a_paragraph_per_row(raw: str, text: str) -> None:
    assert text_of(".csv", raw.encode()) == text


def test_json_lines_become_a_paragraph_each() -> None:
    raw = b'{"a": {"b": ["x", 2]}, "c": null, "d": true}\n\n"alone"\r\n{"e": "\\ud800"}'
    assert text_of(".jsonl", raw) == "a.b: x\na.b: 2\nd: true\n\nalone\n\ne: \ufffd"


@pytest.mark.parametrize(
    ("suffix", "raw", "reason"),
    [
        (".pdf", b"\x89PNG", "not a PDF"),
        (".pdf", b"%PDF-1.7\nrubbish", "a broken PDF"),
        (".pdf", pdf([["cut off"]])[:-60], "a broken PDF"),
        (".pdf", with_objects([CATALOG, "<< /Type /Pages /Kids [2 0 R] /Count 1 >>"]), "broken"),
        (".pdf", pdf([[], []]), "no text"),
        (".pdf", locked_pdf("word"), "locked by a password"),
        (".docx", b"text", "not a DOCX"),
        (".docx", archive({"a": "b"}), "no word/document.xml"),
        (".docx", bare_docx("cut off")[:300], "a broken archive"),
        (".docx", bare_docx("<w:t>"), "a broken DOCX"),
        (".docx", bare_docx("x", {"../../evil": "y"}), "leads out of it: '../../evil'"),
        (".docx", bare_docx("x", {"/evil": "y"}), "leads out"),
        (".docx", bare_docx("&i;", before=LAUGHS), "declares entities"),
        (".docx", bare_docx("x", bomb=300 << 20), "bytes, more than"),
        (
            ".docx",
            bare_docx("x").replace(
                b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01"
            ),
            "locked",
        ),
        (".html", archive({"a": "b"}), "zip archive"),
        (".html", b"<p>a\0b</p>", "NUL"),
        (".html", b"<script>x</script>", "empty"),
        (".csv", b"a,b\0\n1,2", "NUL"),
        (".csv", b"a,b\n", "no rows"),
        (".csv", b"\n\n", "empty"),
        (".csv", b'a\n"' + b"x" * (1 << 24) + b'y"\n', "not CSV"),
        (".jsonl", b'{"a": 1}\n{', "line 2 is not JSON"),
        (".txt", b"%PDF-1.7", "it is a PDF, not what its name says"),
        (".md", b"", "empty"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_cannot_be_used_says_why(suffix: str, raw: bytes, reason: str) -> None:
    assert reason in reason_for(suffix, raw)


@pytest.mark.parametrize(
    ("suffix", "raw"),
    [
        (".html", '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><p>&e; x</p>'),
        (".xhtml", f"{LAUGHS}<p>&i; x</p>"),
        (".html", "<div>" * 200 + "x"),
    ],
    ids=["outside", "laughs", "deep"],
)
def test_a_page_gives_nothing_but_its_own_words(suffix: str, raw: str) -> None:
    text = text_of(suffix, raw.encode())
    assert "root:" not in text
    assert "lollol" not in text
    assert text.endswith("x")


def test_an_outline_that_leads_round_in_circles_is_left_alone() -> None:
    item = "<< /Title (x) /Next 4 0 R /Dest [5 0 R /Fit] >>"
    objects = ["<< /Type /Catalog /Pages 2 0 R /Outlines 3 0 R >>"]
    objects += ["<< /Type /Pages /Kids [5 0 R] /Count 1 >>", "<< /First 4 0 R /Last 4 0 R >>", item]
    objects.append("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 6 0 R >>")
    assert "no text" in reason_for(
        ".pdf", with_objects([*objects, "<< /Length 5 >>\nstream\nBT ET\nendstream"])
    )


def test_the_task_of_the_process_gives_plain_json_or_refuses(tmp_path: Path) -> None:
    file = tmp_path / "a.bin"
    file.write_bytes(pdf([["Hello."]]))
    found = parse_file({"path": str(file), "suffix": ".pdf"})
    assert Parsed.from_json(found) == Parsed(text="Hello.", pages=(0,))
    assert len(found["raw"]) == 64
    file.write_bytes(b"x")
    with pytest.raises(CollectionError, match="not a PDF"):
        parse_file({"path": str(file), "suffix": ".pdf"})
    with file.open("wb") as sparse:
        sparse.truncate(kinds.TEXT_BYTES + 1)
    with pytest.raises(CollectionError, match="larger than"):
        parse_file({"path": str(file), "suffix": ".md"})


def test_a_text_has_only_so_many_characters() -> None:
    with pytest.raises(UnusableError, match="12 characters, more than 10"):
        parse_bytes(KINDS[".md"], b"eleven chars", most=10)
