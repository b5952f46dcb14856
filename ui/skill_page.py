"""One skill: what it asks, whether it is sound, what its templates send.

It does not know where skills lie. What a skill says is foreign and shown as text.
"""

import json
from typing import Final

import streamlit as st

from rag_adapt.client import Client
from rag_adapt.schemas.skills import SkillCheck, SkillDetail
from ui.feedback_list import decide_feedback
from ui.skill_templates import show_templates
from ui.wording import plural

SHOWN_LABELS: Final = 50
CHECKED: Final = "skill-checked"
"""In the state of a browser tab: the last check, with what it checked."""


def show_skill(client: Client, name: str) -> None:
    """The skill, its check on demand and its templates.

    Raises:
        ApiError: `skill-not-found`.
    """
    skill = client.skills.show(name)
    st.text(f"{skill.name} · {skill.origin}")
    if skill.fault is not None:
        st.error("This skill cannot be used.")
        for fault in client.skills.check(name).faults or [skill.fault]:
            st.text(fault)
        return
    _facts(skill)
    if st.button("Measure which route suits it", type="primary"):
        draft = json.dumps({"skills": [name]})
        st.switch_page("views/benchmark.py", query_params={"draft": draft})
    st.subheader("Splits, leaks, scorer", anchor=False)
    if st.toggle("Check it", value=skill.origin == "imported", key=f"check-{name}"):
        show_check(_checked(client, skill))
    if skill.templates:
        st.subheader("Templates", anchor=False)
        show_templates(client, skill)
    st.subheader("Votes and corrections", anchor=False)
    decide_feedback(client, name)


def _checked(client: Client, skill: SkillDetail) -> SkillCheck:
    """The check of the skill as it is: done once, and again when the skill has changed.

    Raises:
        ApiError: `skill-not-found`.
    """
    state = (skill.name, skill.data_hash)
    kept = st.session_state.get(CHECKED)
    if not isinstance(kept, tuple) or kept[0] != state:
        kept = st.session_state[CHECKED] = (state, client.skills.check(skill.name))
    found = kept[1]
    assert isinstance(found, SkillCheck)
    return found


def _facts(skill: SkillDetail) -> None:
    """What it is, in one block of lines."""
    items = skill.items or {}
    with st.container(horizontal=True):
        for split in ("train", "dev", "test"):
            st.metric(f"{split} items", f"{items.get(split, 0):,}", width=92)
    further = f", also {', '.join(skill.scorers)}" if skill.scorers else ""
    labels = skill.labels or []
    more = len(labels) - SHOWN_LABELS
    told = {
        "Task": f"{skill.task}, scored by {skill.scorer}{further}",
        "Documents to search": "yes" if skill.documents else "no",
        "Labels": ", ".join(labels[:SHOWN_LABELS]) + (f" and {more} more" if more > 0 else ""),
        "Clusters": skill.cluster,
        "Licence": skill.licence,
        "Source": skill.source,
    }
    lines = [skill.title, skill.description, *(f"{k}: {v}" for k, v in told.items() if v)]
    st.text("\n".join(line for line in lines if line))


def show_check(found: SkillCheck) -> None:
    """What may be wrong with a sound skill all the same: splits, sizes, leaks."""
    st.success("Sound.")
    if found.warnings:
        st.warning("Worth knowing before it is measured:")
        st.text("\n".join(found.warnings))
    rows = [
        {
            "split": one.split,
            "items": one.items,
            "clusters": one.clusters,
            "median input (characters)": one.median_input,
            "longest input": one.longest_input,
            "longest target": one.longest_target,
            "with gold passages": one.with_gold,
        }
        for one in found.splits
    ]
    st.dataframe(rows, hide_index=True, alt="Splits")
    st.text(f"{plural(found.documents, 'document')} of its own to search.")
    if not found.near_duplicates:
        st.text("No near-duplicates between splits were found.")
        return
    st.warning("Near-duplicates between splits: a test item may have been learnt from.")
    pairs = [
        {"item": one.left, "like": one.right, "similarity": round(one.similarity, 3)}
        for one in found.near_duplicates
    ]
    st.dataframe(pairs, hide_index=True, alt="Near-duplicates between splits")
