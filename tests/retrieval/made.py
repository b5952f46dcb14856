"""Documents made by hand: PDF, DOCX and archives, sound and hostile.

It does not know the tests that use them.
"""

import io
import zipfile
from collections.abc import Mapping, Sequence
from itertools import pairwise

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
MAIN = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
LAUGHS = (
    '<!DOCTYPE x [<!ENTITY a "lol">'
    + "".join(f'<!ENTITY {name} "{f"&{last};" * 10}">' for last, name in pairwise("abcdefghi"))
    + "]>"
)
"""Entities that would unfold to a hundred million times `lol`, as `&i;`."""


def pdf(pages: Sequence[Sequence[str]], titles: Mapping[str, int] | None = None) -> bytes:
    """Pages of lines in Helvetica, and an outline: the page of each title, from 0."""
    outline, names = 4 + 2 * len(pages), list(titles or {})
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(len(pages)))
    root = f"/Outlines {outline} 0 R" if names else ""
    objects = [
        f"<< /Type /Catalog /Pages 2 0 R {root} >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number, lines in enumerate(pages):
        shown = " ".join(f"({line}) Tj T*" for line in lines)
        stream = f"BT /F1 12 Tf 72 720 Td 14 TL {shown} ET"
        objects += [
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources "
            f"<< /Font << /F1 3 0 R >> >> /Contents {5 + 2 * number} 0 R >>",
            f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream",
        ]
    if names:
        last = outline + len(names)
        objects.append(f"<< /First {outline + 1} 0 R /Last {last} 0 R /Count {len(names)} >>")
    for place, name in enumerate(names, start=outline + 1):
        after = f"/Next {place + 1} 0 R" if place < outline + len(names) else ""
        page = 4 + 2 * (titles or {})[name]
        objects.append(
            f"<< /Title ({name}) /Parent {outline} 0 R /Dest [{page} 0 R /Fit] {after} >>"
        )
    return with_objects(objects)


def with_objects(objects: Sequence[str]) -> bytes:
    """A PDF of these objects; the first is its catalog."""
    out = b"%PDF-1.4\n"
    places = []
    for number, content in enumerate(objects, start=1):
        places.append(len(out))
        out += f"{number} 0 obj\n{content}\nendobj\n".encode("latin-1")
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    count = len(objects) + 1
    end = f"trailer\n<< /Size {count} /Root 1 0 R >>\nstartxref\n{len(out)}\n%%EOF\n"
    return out + f"xref\n0 {count}\n0000000000 65535 f \n{table}{end}".encode()


def locked_pdf(password: str) -> bytes:
    """A PDF that cannot be read without a word."""
    from pypdf import PdfReader, PdfWriter

    writer = PdfWriter(PdfReader(io.BytesIO(pdf([["Secret."]]))))
    writer.encrypt(password, algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def docx(blocks: Sequence[tuple[str, str]]) -> bytes:
    """Paragraphs with the names of their styles; `table` takes `a|b;c|d`."""
    from docx import Document

    document = Document()
    for style, text in blocks:
        if style == "table":
            rows = [row.split("|") for row in text.split(";")]
            table = document.add_table(len(rows), len(rows[0]))
            for row, cells in zip(table.rows, rows, strict=True):
                for cell, content in zip(row.cells, cells, strict=True):
                    cell.text = content
        else:
            document.add_paragraph(text, style=style)
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def bare_docx(
    body: str, parts: Mapping[str, str] | None = None, *, before: str = "", bomb: int = 0
) -> bytes:
    """The least that is a DOCX, with a paragraph of raw XML and more parts in its archive.

    Args:
        body: Raw XML.
        parts: More of the archive, by name.
        before: Stands before the document's root.
        bomb: Bytes to which the document unpacks, as the archive says.
    """
    kind = f'<Override PartName="/word/document.xml" ContentType="{MAIN}"/>'
    rels = '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'  # noqa: E501
    link = f'<Relationship Id="r1" Type="{OFFICE}" Target="word/document.xml"/>'
    text = f"<w:body><w:p><w:r><w:t>{body}</w:t></w:r></w:p></w:body>"
    return archive(
        {
            "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types">{rels}{kind}</Types>',
            "_rels/.rels": f'<Relationships xmlns="{PACKAGE}/relationships">{link}</Relationships>',
            "word/document.xml": f'{before}<w:document xmlns:w="{WORD}">{text}</w:document>',
            **(parts or {}),
        },
        bomb=bomb,
    )


def archive(parts: Mapping[str, str], *, bomb: int = 0) -> bytes:
    """A zip archive; its last part says that it unpacks to `bomb` bytes, where that is given."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in parts.items():
            packed.writestr(name, content)
        packed.filelist[-1].file_size = bomb or packed.filelist[-1].file_size
    return out.getvalue()
