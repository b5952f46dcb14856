"""One adapter: its card, and what can be done with it.

It does not know how adapters are trained, proven or kept.
"""

from collections.abc import Callable
from typing import Final

import streamlit as st

from rag_adapt.client import ApiError, Client
from rag_adapt.schemas.adapters import ResidentAdapter
from rag_adapt.schemas.catalog import AdapterInfo
from rag_adapt.schemas.proof import AdapterProof
from rag_adapt.schemas.records import Card
from ui.faults import shown
from ui.figure import figure
from ui.job_watch import open_only
from ui.plain import label
from ui.run_charts import training_loss
from ui.wording import NOTHING, day, duration, size

NO_RESIDENTS: Final = "no-residents"
ASKED: Final = {
    "hash": "Weights: are they those that its name stands for?",
    "template": "Chat template: is it the one that it was trained with?",
    "canary": "Canary: does it differ from the base model?",
    "parity": "Parity: does it compute here what it computed when it was trained?",
}
"""By check of a proof."""


def show_adapter(client: Client, version: str) -> None:
    """The card, then the buttons.

    Raises:
        ApiError: `adapter-not-found`.
    """
    card = client.adapters.show(version)
    entry = next((one for one in client.adapters.all() if one.version == version), None)
    st.text(f"{version} · for {card.skill} · {day(card.created)} UTC")
    _state(entry)
    _figures(card)
    with shown():
        _actions(client, version, entry)
    with shown():
        _residence(client, version)
    _curves(card)
    with st.expander("The whole card"):
        st.json(card.model_dump(mode="json"), expanded=1)


def show_proof(proof: AdapterProof | None) -> None:
    """Each check of a proof: what was asked, whether it passed, the figure, what was compared."""
    if proof is None or not proof.checks:
        return
    st.subheader("What was checked", anchor=False)
    for check in proof.checks:
        with st.container(border=True, gap="xsmall"):
            with st.container(horizontal=True, vertical_alignment="center"):
                if check.passed:
                    st.badge("passed", icon=":material/check_circle:", color="green")
                else:
                    st.badge("failed", icon=":material/error:", color="red")
                st.text(ASKED.get(check.name, check.name), width="content")
                if check.figure is not None:
                    st.text(f"{check.figure:.4f} nats/token", width="content")
            st.caption(label(check.detail, most=300))


def _state(entry: AdapterInfo | None) -> None:
    if entry is None:
        return
    if entry.current:
        st.success("Current: its name points to this version.")
    if not entry.fits:
        st.warning("It was trained on other weights than this service runs: it cannot answer here.")


def _figures(card: Card) -> None:
    before, after = card.dev_bits_before, card.dev_bits_after
    with st.container(horizontal=True):
        st.metric("Held out, before", NOTHING if before is None else f"{before:.2f} bits")
        st.metric("Held out, after", NOTHING if after is None else f"{after:.2f} bits")
        st.metric("Examples", NOTHING if card.examples is None else f"{card.examples:,}")
        st.metric("Training", duration(card.seconds))
        st.metric("Size", size(card.size_bytes))
    told = card.settings
    st.text(
        f"Rank {told.rank}, learning rate {told.learning_rate or NOTHING}, "
        f"{'with' if card.with_context else 'without'} passages, on {card.base_model}."
    )
    if card.imported is not None:
        st.info("It was trained elsewhere: nobody here knows its training.")


def _curves(card: Card) -> None:
    if card.loss_curve or card.dev_curve:
        steps = [(point.step, point.loss) for point in card.loss_curve]
        start = [] if card.dev_bits_before is None else [(0, card.dev_bits_before)]
        bits = [*start, *((point.step, point.bits) for point in card.dev_curve)]
        figure(training_loss(steps, bits), key=card.version)


def _actions(client: Client, version: str, entry: AdapterInfo | None) -> None:
    """Prove, make current, delete; the last one asks first."""
    current = entry is not None and entry.current
    with st.container(horizontal=True):
        proves = st.button("Prove", help="A job: is it active, by hash, template and canary?")
        chosen = st.button("Make current", disabled=current)
        with st.popover("Delete"):
            _delete(client, version, current=current)
    if proves:
        open_only("job", client.adapters.prove(version).id)
    if chosen:
        client.adapters.make_current(version)
        st.rerun()


def _delete(client: Client, version: str, *, current: bool) -> None:
    st.text(f"{version} and its files go for good.")
    meant = not current or st.checkbox("Also though it is current", key=f"meant-{version}")
    if st.button("Delete for good", type="primary", disabled=not meant):
        with shown():
            client.adapters.delete(version, current=current)
            st.query_params.clear()
            st.rerun()


def _residence(client: Client, version: str) -> None:
    """What the engine holds, and buttons that change it; nothing where it holds none."""
    try:
        held = client.adapters.resident()
    except ApiError as error:
        if error.code != NO_RESIDENTS:
            raise
        st.caption("This engine holds no adapters by itself: nothing to load or pin.")
        return
    found = next((one for one in held if one.version == version), None)
    st.text(_said(found))
    with st.container(horizontal=True):
        if found is None:
            _button("Load", lambda: client.adapters.load(version))
        else:
            _button("Unload", lambda: client.adapters.unload(version))
        if found is not None and found.pinned:
            _button("Unpin", lambda: client.adapters.unpin(version))
        else:
            _button("Pin", lambda: client.adapters.pin(version))


def _said(found: ResidentAdapter | None) -> str:
    if found is None:
        return "The engine does not hold it."
    pinned = ", pinned" if found.pinned else ""
    return f"The engine holds it{pinned}; it answers {found.uses} requests at this moment."


def _button(words: str, act: Callable[[], object]) -> None:
    if st.button(words):
        with shown():
            act()
            st.rerun()
