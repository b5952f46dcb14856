"""A skill made of somebody's own file: upload, columns, scorer, import.

It does not know how files are read; the service says what is wrong with one.
"""

import re
from typing import Any, Final, get_args

import streamlit as st

from rag_adapt.client import Client, Upload, filled
from rag_adapt.core.types import ScorerName, Task
from rag_adapt.schemas.imports import ImportMapping
from rag_adapt.schemas.skills import Imported
from ui.table_columns import Columns, columns_of, guess
from ui.wording import plural

TABLES: Final = ("csv", "tsv", "jsonl", "ndjson", "json")
DOCUMENTS: Final = ("md", "markdown", "txt")
INPUTS: Final = ("input", "question", "text", "prompt", "instruction", "query")
TARGETS: Final = ("target", "answer", "label", "output", "response", "completion", "class")
SPLITS: Final = ("split", "set", "fold")
ITSELF: Final = "as the targets suggest"
OTHER: Final = re.compile(r"[^a-z0-9]+")
LONGEST: Final = 40
"""Characters of a name that is suggested."""
NEWS: Final = "skill-imported"
"""In the state of a browser tab: what came of the last import."""


def import_form(client: Client) -> None:
    """The form; after an import the page goes on to the new skill.

    Raises:
        ApiError: nothing was imported, and why.
    """
    st.caption("Examples of your task: one row each, with an input and the right answer.")
    file = st.file_uploader("Examples (CSV, TSV, JSON Lines, BIG-Bench, SQuAD)", type=TABLES)
    if file is None:
        st.info("Choose a file: its columns are asked for next. Nothing is sent before Import.")
        return
    content = file.getvalue()
    columns = columns_of(file.name, content)
    if columns.rows:
        st.dataframe(list(columns.rows), hide_index=True, alt="The first rows")
    with st.form("import"):
        fields = _fields(columns, file.name)
        documents = st.file_uploader(
            "Documents, for retrieval (optional)", type=DOCUMENTS, accept_multiple_files=True
        )
        sent = st.form_submit_button("Import", type="primary")
    if sent:
        mapping = filled(ImportMapping, **{k: v for k, v in fields.items() if v not in (None, "")})
        corpus = [Upload(name=one.name, content=one.getvalue()) for one in documents]
        made = client.skills.add(Upload(name=file.name, content=content), mapping, documents=corpus)
        st.session_state[NEWS] = made
        st.query_params["skill"] = made.name
        st.rerun()


def named(file: str) -> str:
    """A name for a skill, as its file suggests it.

    >>> named("My tickets (2026).csv")
    'my-tickets-2026'
    """
    return "-".join(OTHER.split(file.rpartition(".")[0].lower())).strip("-")[:LONGEST]


def _fields(columns: Columns, file: str) -> dict[str, Any]:
    """The mapping, as far as the file's columns are known."""
    found: dict[str, Any] = {
        "name": st.text_input(
            "Name of the skill", named(file), help="Small letters, digits and hyphens."
        )
    }
    names = list(columns.names)
    left, middle, right = st.columns(3)
    if names:
        found["input"] = left.selectbox("Input", names, index=guess(names, INPUTS) or 0)
        place = guess(names, TARGETS)
        last = len(names) - 1
        found["target"] = middle.selectbox("Target", names, last if place is None else place)
        found["split"] = right.selectbox(
            "Split (train, dev, test)", names, guess(names, SPLITS), placeholder="none"
        )
    scorers, tasks = [ITSELF, *get_args(ScorerName)], [ITSELF, *get_args(Task)]
    scorer, task = left.selectbox("Scorer", scorers), middle.selectbox("Task", tasks)
    found["scorer"] = None if scorer == ITSELF else scorer
    found["task"] = None if task == ITSELF else task
    found["split_ratio"] = right.text_input(
        "Shares of train/dev/test", placeholder="0.6/0.2/0.2", help="Where no column says it."
    )
    found["limit"] = left.number_input("Items at most", min_value=1, value=None, placeholder="all")
    found["seed"] = int(middle.number_input("Seed of the split", min_value=0, value=0))
    found["skip_bad"] = right.toggle("Leave out bad rows", help="They are listed afterwards.")
    return found


def show_news(skill: str) -> None:
    """What came of the import of this skill, once."""
    made = st.session_state.get(NEWS)
    if not isinstance(made, Imported) or made.name != skill:
        return
    splits = ", ".join(f"{count} {name}" for name, count in made.items.items())
    st.success(f"Imported: {plural(made.rows, 'row')}; {splits}.")
    for note in made.notes:
        st.text(note)
    if made.left_out:
        st.warning(f"{plural(len(made.left_out), 'row')} left out.")
        for row in made.left_out:
            st.text(row)
