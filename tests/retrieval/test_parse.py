"""Reading a folder of documents."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rag_adapt.core.errors import CollectionError
from rag_adapt.retrieval.parse import read_corpus
from tests.retrieval.fakes import write_corpus


def reason_for(folder: Path, name: str, *, max_bytes: int = 1000) -> str:
    corpus = read_corpus(folder, max_bytes=max_bytes)
    assert [document.path for document in corpus.documents] == ["good.md"]
    return {failed.path: failed.reason for failed in corpus.failed}[name]


@contextmanager
def as_ordinary_user() -> Iterator[None]:
    """Without root's right to read everything."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return write_corpus(tmp_path / "corpus", {"good.md": "Fine."})


def test_documents_come_in_order_of_path_with_sub_folders(tmp_path: Path) -> None:
    folder = write_corpus(tmp_path / "c", {"b.txt": "B", "a/z.markdown": "Z", "a.md": "A"})
    found = read_corpus(folder).documents
    assert [(each.path, each.text) for each in found] == [
        ("a.md", "A"),
        ("a/z.markdown", "Z"),
        ("b.txt", "B"),
    ]


def test_hidden_files_and_folders_are_passed_over(corpus: Path) -> None:
    write_corpus(corpus, {".git/notes.md": "no", ".DS_Store": "no"})
    found = read_corpus(corpus)
    assert ([each.path for each in found.documents], found.failed) == (["good.md"], ())


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        pytest.param(b"\xef\xbb\xbfHi", "Hi", id="byte order mark"),
        pytest.param(b"a\r\nb\rc\nd", "a\nb\nc\nd", id="line ends"),
        pytest.param("naïve 🙂 日本".encode(), "naïve 🙂 日本", id="beyond ASCII"),
    ],
)
def test_a_text_is_decoded_to_characters(tmp_path: Path, raw: bytes, text: str) -> None:
    folder = write_corpus(tmp_path / "c", {"a.md": raw})
    assert read_corpus(folder).documents[0].text == text


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        pytest.param(
            "odd.md", b"caf\xe9" + b"\x81\x8d\x8f\x90\x9d" * 9, "no other encoding fits", id="bytes"
        ),
        pytest.param("nul.txt", b"a\0b", "NUL", id="binary"),
        pytest.param("blank.md", b" \n", "empty", id="blank"),
        pytest.param("photo.png", b"x", "suffix '.png'", id="other suffix"),
        pytest.param("big.md", b"x" * 1001, "1001 bytes, more than 1000", id="too large"),
    ],
)
def test_a_file_that_cannot_be_used_is_reported_and_stops_no_other(
    corpus: Path, name: str, content: bytes, reason: str
) -> None:
    write_corpus(corpus, {name: content})
    assert reason in reason_for(corpus, name)


def test_a_link_that_leaves_the_folder_is_refused(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.md").write_text("secret")
    (corpus / "link.md").symlink_to("../secret.md")
    assert reason_for(corpus, "link.md") == "a link that leaves the folder"


def test_a_linked_folder_is_refused_where_it_leaves_the_corpus(
    corpus: Path, tmp_path: Path
) -> None:
    write_corpus(tmp_path / "other", {"x.md": "secret"})
    (corpus / "dir").symlink_to(tmp_path / "other")
    assert reason_for(corpus, "dir") == "a link that leaves the folder"


def test_a_linked_folder_inside_is_read_once(tmp_path: Path) -> None:
    folder = write_corpus(tmp_path / "c", {"a/x.md": "X"})
    (folder / "b").symlink_to(folder / "a")
    found = read_corpus(folder)
    assert [each.path for each in found.documents] == ["a/x.md"]
    assert "a link to a folder" in found.failed[0].reason


def test_a_link_to_nothing_and_a_circle_are_reported(corpus: Path) -> None:
    (corpus / "lost.md").symlink_to("nowhere.md")
    (corpus / "circle.md").symlink_to("circle.md")
    assert reason_for(corpus, "lost.md") == "a link that leads nowhere"
    assert reason_for(corpus, "circle.md") == "a link that leads nowhere"


def test_a_link_inside_the_folder_is_read(tmp_path: Path) -> None:
    folder = write_corpus(tmp_path / "c", {"a.md": "A"})
    (folder / "b.md").symlink_to("a.md")
    assert [each.text for each in read_corpus(folder).documents] == ["A", "A"]


def test_a_pipe_is_not_waited_for(corpus: Path) -> None:
    os.mkfifo(corpus / "pipe.md")
    assert reason_for(corpus, "pipe.md") == "not a regular file"


def test_a_name_that_is_not_utf8_is_reported_readably(corpus: Path) -> None:
    with open(os.fsencode(corpus) + b"/caf\xe9.md", "wb") as file:  # noqa: PTH123 - bytes
        file.write(b"x")
    assert reason_for(corpus, "caf\\xe9.md") == "its name is not UTF-8"


def test_a_file_without_permission_is_reported() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = write_corpus(Path(name), {"good.md": "Fine.", "closed.md": "x"})
        folder.chmod(0o755)
        (folder / "closed.md").chmod(0)
        with as_ordinary_user():
            assert "cannot be read" in reason_for(folder, "closed.md")


@pytest.mark.parametrize("documents", [{}, {"a.png": "x"}, {"a.md": ""}, {"a.pdf": "x"}])
def test_a_corpus_without_a_usable_document_is_refused(
    tmp_path: Path, documents: dict[str, str]
) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    with pytest.raises(CollectionError, match="holds no usable document") as caught:
        read_corpus(write_corpus(folder, documents))
    assert all(name in caught.value.fact for name in documents)


def test_a_long_list_of_reasons_is_cut(tmp_path: Path) -> None:
    folder = write_corpus(tmp_path / "c", {f"{n}.png": "x" for n in range(7)})
    with pytest.raises(CollectionError, match="and 2 more"):
        read_corpus(folder)


def test_a_corpus_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CollectionError, match="is not a folder"):
        read_corpus(tmp_path / "missing")
