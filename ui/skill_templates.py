"""A skill's templates: read, tried out while they are edited, stored where the skill is one's own.

It does not know what a template may hold: the service says what is wrong with one.
"""

from dataclasses import dataclass
from typing import Final

import streamlit as st

from rag_adapt.client import ApiError, Client, filled
from rag_adapt.schemas.skills import (
    ExampleText,
    RenderRequest,
    SkillDetail,
    TemplateDraft,
    TemplateOrder,
    TemplateStored,
    TemplateText,
)
from ui.faults import shown
from ui.plain import label

BETWEEN: Final = "\n---\n"
"""Stands between two passages of the preview."""
CHANGED: Final = "template-changed"
NEW: Final = "(a new one)"
HEIGHT: Final = 130
"""Pixels of a field."""
LONGEST: Final = 50_000
"""Characters of one message that the service takes."""
STORED: Final = "template-stored"
"""In the state of a browser tab: what came of the last change."""
STAND_IN: Final = "First passage, as a search would find it.\n---\nSecond passage."


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What stands in the two fields."""

    name: str
    system: str
    user: str
    replaces: str | None
    """Hash of what was read; None for a new template."""
    changed: bool

    @property
    def shows_passages(self) -> bool:
        """Whether passages have a place in it."""
        return "{context}" in self.system + self.user


@st.fragment
def show_templates(client: Client, skill: SkillDetail) -> None:
    """The editor beside what it sends; only this part is drawn again while somebody writes."""
    _news(skill.name)
    with shown():
        base = _chosen(client, skill)
        if base is None:
            return
        left, right = st.columns(2, gap="large")
        with left:
            draft = _fields(base)
            _acts(client, skill, draft, base)
        with right:
            _preview(client, skill, draft)


def _chosen(client: Client, skill: SkillDetail) -> TemplateText | None:
    """The template that is edited; a new one begins as the plain prompt.

    Raises:
        ApiError: it could not be read.
    """
    names = list(skill.templates or [])
    mine = skill.origin == "imported"
    names.sort(key=lambda name: (not name.startswith("prompt"), name))
    chosen = st.selectbox("Template", [*names, NEW] if mine else names, key=f"of-{skill.name}")
    if chosen != NEW:
        return None if chosen is None else _read(client, skill.name, chosen)
    name = st.text_input(
        "Its name",
        placeholder="prompt-short",
        help="It begins with prompt, or with context if it shows passages.",
    )
    if not name:
        st.info("Name the new template; it begins as a copy of `prompt`.")
        return None
    base = _read(client, skill.name, "prompt")
    return base.model_copy(update={"template": name, "hash": ""})


def _read(client: Client, skill: str, template: str) -> TemplateText:
    """The template as it was first looked at: the change is made to that one and no other."""
    key = _key(skill, template)
    if key not in st.session_state:
        st.session_state[key] = client.skills.template(skill, template)
    found = st.session_state[key]
    assert isinstance(found, TemplateText)
    return found


def _key(skill: str, template: str) -> str:
    return f"template-{skill}-{template}"


def _which(base: TemplateText) -> str:
    return f"{base.skill}-{base.template}-{base.hash}"


def _fields(base: TemplateText) -> Draft:
    """Both messages; the fields begin afresh where another text was read."""
    which = _which(base)
    for field, text in (("system", base.system), ("user", base.user)):
        st.session_state.setdefault(f"{field}-{which}", text)
    system = st.text_area("System message", key=f"system-{which}", height=HEIGHT, max_chars=LONGEST)
    user = st.text_area("User message", key=f"user-{which}", height=HEIGHT, max_chars=LONGEST)
    st.caption(
        "`{input}` is the item, `{labels}` the skill's labels, `{context}` the passages; a literal "
        "brace is written twice. The preview follows when you leave a field or press Ctrl+Enter."
    )
    system, user = system or "", user or ""
    return Draft(
        name=base.template,
        system=system,
        user=user,
        replaces=base.hash or None,
        changed=not base.hash or (system, user) != (base.system, base.user),
    )


def _acts(client: Client, skill: SkillDetail, draft: Draft, base: TemplateText) -> None:
    """Save and undo, or why there is nothing to save."""
    if not base.editable:
        st.info(
            "This skill is bundled and stays as it is, so that its name means the same task "
            "everywhere. Try out what you like; to keep it, import your examples as a skill of "
            "your own."
        )
    with st.container(horizontal=True):
        # Never disabled: who has just typed is still in the field when the mouse goes down on it.
        saves = base.editable and st.button("Save", type="primary")
        unchanged = not draft.changed or not draft.replaces
        st.button("Undo changes", disabled=unchanged, on_click=_undo, args=(base,))
    if saves and draft.changed:
        _save(client, skill.name, draft)
    elif saves:
        st.info("Nothing has been changed since it was read.")


def _save(client: Client, skill: str, draft: Draft) -> None:
    """Store it, or say what is wrong; where somebody was faster, offer what stands there now."""
    with shown():
        order = filled(TemplateOrder, system=draft.system, user=draft.user, replaces=draft.replaces)
        try:
            stored = client.skills.store_template(skill, draft.name, order)
        except ApiError as error:
            if error.code == CHANGED:
                st.button("Read it again", on_click=_forget, args=(skill, draft.name))
            raise
        _forget(skill, draft.name)
        st.session_state[STORED] = stored
        st.rerun()


def _undo(base: TemplateText) -> None:
    """What was typed goes; what was read stays."""
    for field, text in (("system", base.system), ("user", base.user)):
        st.session_state[f"{field}-{_which(base)}"] = text


def _forget(skill: str, template: str) -> None:
    """What was read; what is read next has another hash, and so fields of its own."""
    st.session_state.pop(_key(skill, template), None)


def _news(skill: str) -> None:
    """What came of the last change, until something else is done."""
    stored = st.session_state.pop(STORED, None)
    if not isinstance(stored, TemplateStored) or stored.skill != skill:
        return
    st.session_state[f"of-{skill}"] = stored.template  # a new one is looked at from now on
    st.success(f"Saved: {label(stored.template)} ({stored.hash}).")
    if stored.data_hash == stored.data_hash_before:
        return
    st.text(
        f"The skill's hash changed from {stored.data_hash_before} to {stored.data_hash}: finished "
        "runs say nothing of it any more. Measure it again to know which route to use."
    )
    if stored.adapters:
        st.warning("Trained with the old text, and refused until they are trained again:")
        st.text("\n".join(stored.adapters))


def _preview(client: Client, skill: SkillDetail, draft: Draft) -> None:
    """The messages as a route would send them.

    Raises:
        ApiError: the text is no template.
    """
    sample = skill.sample
    typed = st.text_area(
        "Try it with",
        sample.input if sample else "",
        key=f"try-{skill.name}",
        placeholder="An input as an item would have it",
        height=80,
    )
    passages = ""
    if draft.shows_passages:
        passages = st.text_area(
            "Passages", STAND_IN, key=f"passages-{skill.name}", help="`---` between two.", height=80
        )
    examples: list[ExampleText] = []
    if sample is not None and st.toggle("With a worked example", key=f"example-{skill.name}"):
        examples.append(sample)
    order = filled(
        RenderRequest,
        skill=skill.name,
        template=draft.name,
        draft=TemplateDraft(system=draft.system, user=draft.user),
        input=typed or "",
        examples=examples,
        passages=[one.strip("\n") for one in (passages or "").split(BETWEEN) if one.strip()],
    )
    st.markdown("**What is sent**")
    with shown():
        rendered = client.skills.render(order)
        for message in rendered.messages:
            st.caption(message.role)
            st.code(message.content or "(empty)", language=None, wrap_lines=True)
        st.caption(f"Template hash {rendered.hash}")
