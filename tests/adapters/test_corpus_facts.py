"""Facts made by rules: what stands in tables, lines and sentences is asked for, and no more."""

import pytest

from rag_adapt.adapters.corpus_facts import MOST_GAPS, MOST_WORDS, Fact, facts
from rag_adapt.adapters.corpus_text import Section, sections

GAP = "What belongs in the gap? "


def made(text: str, *headings: str) -> list[Fact]:
    return list(facts(Section(headings=headings, text=text)))


def asked(text: str, *headings: str) -> dict[str, str]:
    """Answers by question."""
    return {q: fact.answer for fact in made(text, *headings) for q in fact.questions}


def test_a_cell_is_asked_for_by_its_row_and_its_row_by_the_cell() -> None:
    table = "| Trouble | Code |\n|---|---|\n| Fan blocked | V74 |\n| Too hot | C71 |"

    assert asked(table, "Borage: Alarms") == {
        "What is the code of fan blocked of the Borage?": "V74",
        "Borage, code of fan blocked?": "V74",
        "Borage: Which code is given for fan blocked?": "V74",
        "Borage: Which trouble has the code V74?": "Fan blocked",
        "What is the code of too hot of the Borage?": "C71",
        "Borage, code of too hot?": "C71",
        "Borage: Which code is given for too hot?": "C71",
        "Borage: Which trouble has the code C71?": "Too hot",
    }


def test_a_column_that_says_nothing_is_not_named_and_empty_cells_are_not_asked_for() -> None:
    table = "| Property | Value | Note |\n|:--|--:|---|\n| Legs | 4 |  |\n| Width | 91 cm | `x` |"

    found = asked(table)

    assert found["What is the width?"] == "91 cm"
    assert found["What are the legs?"] == "4"
    assert found["What is the note of width?"] == "x"
    assert not any("note of legs" in question for question in found)


def test_a_value_that_stands_in_several_rows_is_not_turned_round() -> None:
    table = "| Part | Action |\n|---|---|\n| lid | refund |\n| cord | refund |\n| foot | repair |"

    turned = {q: a for q, a in asked(table).items() if q.startswith("Which part")}

    assert turned == {"Which part has the action repair?": "foot"}


@pytest.mark.parametrize(
    "text",
    [
        "| a | b |\n| c | d |\n| e | f |",
        "| a | b |\n|---|---|",
        "| a | b |\n|---|---|\n| only one |",
    ],
    ids=["no rule", "no rows", "a short row"],
)
def test_what_only_looks_like_a_table_gives_nothing(text: str) -> None:
    assert made(text) == []


@pytest.mark.parametrize(
    ("line", "question", "answer"),
    [
        ("Port: 8080", "What is the port?", "8080"),
        ("max_tokens = 64", "What is the max_tokens?", "64"),
        ("- Opening hours: 9 to 5", "What is the opening hours?", "9 to 5"),
        ("3. Dial setting: slow", "What is the dial setting?", "slow"),
        (
            "Base plate of the kettle: part KA-88.",
            "What is the base plate of the kettle?",
            "part KA-88",
        ),
        ("Action: refund, since it is not worth it.", "What is the action?", "refund"),
    ],
)
def test_keys_are_asked_for_their_values(line: str, question: str, answer: str) -> None:
    assert asked(line)[question] == answer


def test_lines_of_code_are_read_as_keys_and_values() -> None:
    assert asked("```\nretries = 3\n# why\nrun()\n```")["What is the retries?"] == "3"


@pytest.mark.parametrize(
    "line",
    [
        "Wipe off the dew first: a wet seven looks like a one",
        "For example: nothing at all",
        "see https://example.org: there",
        "When it is wet: go home",
    ],
)
def test_a_colon_inside_a_sentence_makes_no_key(line: str) -> None:
    assert made(line) == []


@pytest.mark.parametrize(
    ("sentence", "question", "answer"),
    [
        (
            "The fan of the Borage is the Merlin fan.",
            "What is the fan of the Borage?",
            "Merlin fan",
        ),
        (
            "The fan of the Borage is the Merlin fan.",
            "What is the Merlin fan?",
            "fan of the Borage",
        ),
        ("A doser is a small pump, which meters feed.", "What is a doser?", "a small pump"),
        ("The valve is called Tansy Tap.", "What is the valve?", "Tansy Tap"),
        (
            "The usual speed is 1250 turns; do not touch it.",
            "What is the usual speed?",
            "1250 turns",
        ),
        ("Part KA-80 is the mesh of the kettle.", "What is the mesh of the kettle?", "Part KA-80"),
        ("The door is shut.", GAP + "The door is ___.", "shut"),
        ("`action` is one of a, b and c.", "What is action?", "one of a, b and c"),
    ],
)
def test_definitions_are_asked_from_both_ends(sentence: str, question: str, answer: str) -> None:
    assert asked(sentence)[question] == answer


@pytest.mark.parametrize(
    "sentence",
    [
        "It is the end.",
        "There are two of them.",
        "The box is packed before all the others.",
        "If so.",
    ],
)
def test_what_defines_nothing_is_not_asked_for(sentence: str) -> None:
    assert made(sentence) == []


@pytest.mark.parametrize(
    ("sentence", "shown", "answer"),
    [
        ("Turn it within 15 mm of level.", "Turn it within ___ of level.", "15 mm"),
        ("At most 29 °C can be chosen.", "At most ___ can be chosen.", "29 °C"),
        ("Sold from 2016 to us.", "Sold from ___ to us.", "2016"),
        ("Use a T30 driver.", "Use a ___ driver.", "T30"),
        ("Copy it as `bgrow.bin` first.", None, None),
        ("Choose the mode Long Rest now.", "Choose the mode ___ now.", "Long Rest"),
        ("Boards of the type Noonray 5 fit.", "Boards of the type ___ fit.", "Noonray 5"),
    ],
)
def test_figures_codes_and_names_are_left_out_and_asked_for(
    sentence: str, shown: str | None, answer: str | None
) -> None:
    found = asked(sentence)

    assert found.get(f"{GAP}{shown}") == answer
    assert found.get(f"Complete: {shown}") == answer


def test_a_sentence_has_few_gaps_and_none_for_its_own_subject() -> None:
    text = "The Borage takes 1 cup, 2 spoons, 3 drops and 4 grains."

    found = made(text, "Borage: Food")

    assert [fact.answer for fact in found] == ["1 cup", "2 spoons", "3 drops"]
    assert len(found) == MOST_GAPS


def test_later_sentences_are_asked_under_what_the_first_is_about() -> None:
    for first in (
        "The part number for the lid of the kettle is KA-47.",
        "Lid of the kettle: part KA-47.",
        "Part KA-47 is the lid of the kettle.",
        "For the lid of the kettle use part number KA-47.",
    ):
        found = asked(f"{first} Allow 12 days.", "Kettle: parts")
        questions = [question for question, answer in found.items() if answer == "12 days"]
        assert [question.lower().removeprefix("the ") for question in questions] == [
            "lid of the kettle: what belongs in the gap? allow ___.",
            "lid of the kettle: complete: allow ___.",
        ]


@pytest.mark.parametrize(
    ("text", "question", "answer"),
    [
        (
            "**Burst.** One short run of the mister.",
            "What is meant by Burst?",
            "One short run of the mister.",
        ),
        ("**repair** means that we mend it. Free.", "What does repair mean?", "we mend it."),
        ("**May.** Put plants out.", "May: what does the text say?", "Put plants out."),
        ("**Is it loud?** Not at all.", "Is it loud?", "Not at all."),
        (
            "- **The wheels have sunk in.** Lay planks.",
            "The wheels have sunk in. What then?",
            "Lay planks.",
        ),
    ],
)
def test_a_lead_in_bold_is_asked_for_what_follows(text: str, question: str, answer: str) -> None:
    assert asked(text)[question] == answer


def test_bold_inside_a_sentence_is_no_lead() -> None:
    found = asked("- **Sorrel**, the small one: width 46 cm, height 62 cm.")

    assert found[GAP + "Sorrel, the small one: width ___, height 62 cm."] == "46 cm"


def test_questions_name_the_subject_once() -> None:
    found = asked("The dose is 2 ml. The dose of the Sorrel is 2 ml.", "Sorrel: Food")

    assert "Sorrel: What is the dose?" in found
    assert "What is the dose of the Sorrel?" in found


def test_answers_are_short_and_every_fact_stands_once() -> None:
    long = " ".join(["word"] * (MOST_WORDS + 1))

    assert made(f"Key: {long}") == []
    assert len(made("- Port: 80\n- Port: 80")) == 1


def test_a_whole_page_gives_facts_in_its_order() -> None:
    page = "# Lamp: Use\n\nThe type is LX-2.\n\n## Time\n\nIt burns for 40 hours.\n"

    answers = [fact.answer for section in sections(page) for fact in facts(section)]

    assert answers == ["LX-2", "40 hours"]
