"""The page Skills: tasks that are there, one of them closely, and one's own.

It does not know how skills are kept. `skill` in the address names the one that is looked at.
"""

import streamlit as st

from rag_adapt.client import Client
from rag_adapt.schemas.catalog import SkillInfo
from ui.connection import service
from ui.faults import shown
from ui.job_watch import back, listed, open_only
from ui.plain import label
from ui.skill_import import import_form, show_news
from ui.skill_page import show_skill
from ui.wording import plural


def draw(client: Client) -> None:
    """What the address asks for."""
    name = st.query_params.get("skill")
    if name is None:
        with shown():
            _list(client)
        st.subheader("Bring your own task", anchor=False)
        with shown():
            import_form(client)
        return
    back("All skills")
    show_news(name)
    show_skill(client, name)


def _list(client: Client) -> None:
    for skill in client.skills.all():
        with listed():
            with st.container(gap="xxsmall", width="content"):
                st.text(skill.name)
                st.caption(label(_said(skill), most=300))
            if st.button("Open", key=f"open-{skill.name}"):
                open_only("skill", skill.name)


def _said(skill: SkillInfo) -> str:
    if skill.fault is not None:
        return f"cannot be used: {skill.fault}"
    documents = ", with documents" if skill.documents else ""
    items = plural(sum((skill.items or {}).values()), "item")
    said = f"{skill.origin}, {items}, scored by {skill.scorer}{documents}"
    return f"{skill.title}; {said}" if skill.title else said


st.title("Skills", anchor=False)
if not st.query_params:
    st.caption("Tasks with examples: what is asked, and which answer is right.")
with shown():
    draw(service())
