"""Characters are found, and what nobody can see is taken out and reported."""

import codecs

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_adapt.retrieval.parsers.encoding import cleaned, decode_text
from rag_adapt.retrieval.parsers.parsed import Parsed, UnusableError

GERMAN = "Der Kaffee wäre für Gäste über die Straße natürlich schöner, sagte die Müllerin."
RUSSIAN = "Чайник вмещает один литр и семьсот миллилитров воды, его нужно часто мыть."


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (GERMAN.encode("cp1252"), GERMAN),
        (RUSSIAN.encode("cp1251"), RUSSIAN),
        (RUSSIAN.encode("utf-16"), RUSSIAN),
        (codecs.BOM_UTF16_BE + "日本".encode("utf-16-be"), "日本"),
        (codecs.BOM_UTF8 + b"x", "x"),
        ("日本 🙂".encode(), "日本 🙂"),
    ],
    ids=["latin", "cyrillic", "utf-16", "utf-16, big end first", "byte order mark", "utf-8"],
)
def test_the_encoding_is_found(raw: bytes, text: str) -> None:
    assert decode_text(raw).text == text


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"\xff\xfea", "not UTF-16: byte 2 is 0x61"),
        (b"\xe9\0\0", "NUL"),
        (b"caf\xe9" + b"\x81\x8d\x8f\x90\x9d" * 9, "no other encoding fits"),
    ],
    ids=["half a character", "binary", "nothing fits"],
)
def test_what_is_no_text_says_so(raw: bytes, reason: str) -> None:
    with pytest.raises(UnusableError, match=reason):
        decode_text(raw)


@pytest.mark.parametrize(
    ("text", "left", "named"),
    [
        ("pay\u200bload", "payload", "1 invisible characters removed: U+200B x1"),
        ("\u202eevil\u202c", "evil", "U+202E x1"),
        ("a" + "".join(chr(0xE0000 + ord(c)) for c in "obey"), "a", "4 invisible"),
        ("a\ufe0f\ufe0e\ufe0e!", "a\ufe0f!", "U+FE0E x2"),
        ("a\u200db", "ab", "U+200D x1"),
        ("soft\u00adly \x1b[0m", "softly [0m", "U+00AD x1"),
    ],
    ids=["zero width", "direction", "tags", "selectors", "joiner", "controls"],
)
def test_what_nobody_sees_is_taken_out_and_named(text: str, left: str, named: str) -> None:
    found = cleaned(Parsed(text=text))
    assert found.text == left
    assert named in found.notes[0]


@pytest.mark.parametrize(
    "text", ["👨\u200d👩\u200d👧 ❤\ufe0f", "می\u200cخواهم", "क्\u200dष", "tab\tand\nline\f"], ids=str
)
def test_what_shapes_letters_stays(text: str) -> None:
    parsed = Parsed(text=text)
    assert cleaned(parsed) is parsed


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text(alphabet="ab \u200b\u202e\U000e0041\u200d é", max_size=8), min_size=1))
def test_pages_begin_where_they_did(pages: list[str]) -> None:
    starts = tuple(sum(map(len, pages[:n])) for n in range(len(pages)))
    try:
        found = cleaned(Parsed(text="".join(pages), pages=starts))
    except UnusableError:
        return
    assert len(found.pages) == len(pages)
    ends = (*found.pages[1:], len(found.text))
    seen = [found.text[a:b].replace("\u200d", "") for a, b in zip(found.pages, ends, strict=True)]
    plain = str.maketrans("", "", "\u200b\u202e\U000e0041\u200d")
    assert seen == [page.translate(plain) for page in pages]
