"""Finding sentences."""

import pytest

from rag_adapt.retrieval.chunkers.sentences import sentences


def found(text: str, limit: int = 50) -> list[str]:
    return [sentence for section in sentences(text, limit) for sentence in section.texts()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("One. Two! Three?", ["One.", "Two!", "Three?"], id="marks"),
        pytest.param("One\ntwo.\nThree.", ["One\ntwo.", "Three."], id="wrapped lines"),
        pytest.param("One\n \nTwo", ["One", "Two"], id="paragraphs"),
        pytest.param("List:\n- a\n- b\n2. c", ["List:", "- a", "- b", "2.", "c"], id="items"),
        pytest.param("| a | b |\n| 1 | 2 |", ["| a | b |", "| 1 | 2 |"], id="rows"),
        pytest.param("これは。それも！", ["これは。", "それも！"], id="no blanks between"),
        pytest.param("# T\n\nOne. Two.", ["# T\n\nOne.", "Two."], id="heading"),
        pytest.param(" \n ", [], id="blank"),
    ],
)
def test_a_text_is_split_into(text: str, expected: list[str]) -> None:
    assert found(text) == expected


def test_a_sentence_longer_than_a_chunk_is_cut_at_words() -> None:
    assert found("One two three four five.", limit=2) == ["One two", "three four", "five."]


def test_tokens_are_those_between_the_ends() -> None:
    [section] = sentences("One two. Three.\n\nFour.", 50)
    assert [section.tokens(0, last) for last in range(4)] == [0, 3, 5, 7]
    assert section.tokens(1, 3) == 4
