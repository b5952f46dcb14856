"""The nearest text: found whenever comparing all with all would find one."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_adapt.skills.nearest import EFFORT, Contained, Groups, NearIndex, contained, words

WORDS = st.lists(st.sampled_from("abcd"), min_size=1, max_size=12).map(" ".join)
TEXTS = st.dictionaries(st.text("xyz", min_size=1, max_size=3), WORDS, max_size=10)
THRESHOLDS = st.sampled_from([0.3, 0.5, 0.8, 1.0])


def bag(text: str) -> Counter[tuple[str, ...]]:
    read = text.split()
    return Counter(pairwise(read)) if len(read) > 1 else Counter({(text,): 1})


def alike(one: str, other: str) -> float:
    a, b = bag(one), bag(other)
    return (a & b).total() / (a | b).total()


@given(texts=TEXTS, asked=WORDS, threshold=THRESHOLDS)
def test_the_nearest_is_as_near_as_comparing_with_all_finds(
    texts: dict[str, str], asked: str, threshold: float
) -> None:
    match = NearIndex(texts, threshold=threshold).nearest(asked)

    best = max((alike(asked, text) for text in texts.values()), default=0.0)
    assert (match is not None) == (best >= threshold)
    if match:
        assert match.similarity == best == alike(asked, texts[match.key])


@given(texts=TEXTS, threshold=THRESHOLDS)
def test_links_connect_what_all_pairs_would_connect(
    texts: dict[str, str], threshold: float
) -> None:
    distinct = {text: text for text in texts.values()}
    number = {text: n for n, text in enumerate(distinct)}
    linked, compared = Groups(len(number)), Groups(len(number))
    for pair in NearIndex(distinct, threshold=threshold).links():
        linked.join(number[pair.left], number[pair.right])
        assert pair.similarity == alike(pair.left, pair.right) >= threshold
    for one in number:
        for other in number:
            if alike(one, other) >= threshold:
                compared.join(number[one], number[other])

    assert [linked.root(n) for n in number.values()] == [compared.root(n) for n in number.values()]


def test_many_texts_of_one_frame_are_linked_once_each_and_matched_with_bounded_effort() -> None:
    frame = "please read the passage with care and then answer the question at its end number"
    texts = {str(n): f"{frame} {n}" for n in range(4 * EFFORT)}
    index = NearIndex(texts)

    match = index.nearest(f"{frame} {10 * EFFORT}")

    assert match is not None
    assert match.similarity == pytest.approx(14 / 16)
    assert len(list(index.links())) == len(texts) - 1


def test_after_enough_comparisons_the_best_so_far_is_told() -> None:
    frame = "please read the passage with care and then answer the question at its end number"
    # All share their rarest pair with the question, so that no bound tells the nearest apart.
    texts = {str(n): f"rare pair {n} {frame}" for n in range(3 * EFFORT)}

    match = NearIndex(texts).nearest(f"rare pair {frame}")

    assert match is not None
    assert match.similarity >= 0.8


def test_repeated_pairs_keep_texts_of_a_small_vocabulary_apart() -> None:
    index = NearIndex({"a": "not True and not True and not True or False"})

    assert index.nearest("not True or False and not True") is None


def test_a_text_is_found_only_as_whole_words_and_only_if_long_enough() -> None:
    needles = {"card": "where is my card", "short": "my card", "own": "Where is  MY card?"}
    texts = {
        "a": "where is my cardboard",
        "b": "So where is my card, then?",
        "c": "Where is my card",
    }

    found = list(contained(needles, texts, least=3))

    assert found == [Contained(needle="card", text="b"), Contained(needle="own", text="b")]


@given(text=WORDS, start=st.integers(0, 11), length=st.integers(1, 12), least=st.integers(1, 4))
def test_every_stretch_of_a_text_is_found_in_it(
    text: str, start: int, length: int, least: int
) -> None:
    needle = " ".join(text.split()[start : start + length])

    found = list(contained({"n": needle}, {"t": text}, least=least))

    assert bool(found) == (len(needle.split()) >= least)


def test_characters_of_scripts_without_spaces_are_words() -> None:
    assert words("灯は青い。Lamp 5") == ["灯", "は", "青", "い", "lamp", "5"]
    assert list(contained({"n": "灯は青い"}, {"t": "この灯は青いです。"}, least=4))
