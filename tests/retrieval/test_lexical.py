"""Lexical search: a query is words, whatever characters it has."""

import sqlite3
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_adapt.retrieval.lexical import MAX_WORDS, match_expression, search_words


@pytest.fixture(scope="module")
def words() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    connection.execute(
        "CREATE VIRTUAL TABLE lexical USING fts5(text, content='', "
        "tokenize='porter unicode61 remove_diacritics 2')"
    )
    texts = ["The café opens at nine.", "Order code AB-12/x.", "नमस्ते दुनिया", "Opening times: café"]
    connection.executemany("INSERT INTO lexical(rowid, text) VALUES (?, ?)", enumerate(texts, 1))
    yield connection
    connection.close()


@pytest.mark.parametrize(
    ("query", "first"),
    [
        pytest.param('what is "AB-12/x"?', 2, id="quotes and hyphens"),
        pytest.param("NEAR(order AND code) OR *", 2, id="operators"),
        pytest.param("text:order ^code {x} -y", 2, id="columns"),
        pytest.param("cafe\u0301 nine", 1, id="accent as a character of its own"),
        pytest.param("नमस्ते", 3, id="vowel signs"),
        pytest.param("order\0code", 2, id="NUL"),
        pytest.param("\udcff order", 2, id="half a surrogate"),
    ],
)
def test_odd_characters_are_no_syntax(words: sqlite3.Connection, query: str, first: int) -> None:
    assert search_words(words, query, 3)[0].chunk == first


@given(query=st.text())
def test_no_query_is_a_syntax_error(words: sqlite3.Connection, query: str) -> None:
    assert len(search_words(words, query, 3)) <= 3


@pytest.mark.parametrize("query", ["", "   ", "?!", '""', "🙂"])
def test_a_query_without_words_finds_nothing(words: sqlite3.Connection, query: str) -> None:
    assert search_words(words, query, 3) == ()


def test_scores_are_higher_for_better_hits(words: sqlite3.Connection) -> None:
    scores = [hit.score for hit in search_words(words, "café nine opening", 3)]
    assert len(scores) == 2
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] > 0


def test_a_long_query_is_cut() -> None:
    expression = match_expression(" ".join(str(n) for n in range(1000)))
    assert expression is not None
    assert expression.count(" OR ") == MAX_WORDS - 1
