"""What an adapter shall learn: the form, the job that it becomes, and its curve while it learns.

It does not know how adapters are trained.
"""

from collections.abc import Sequence
from typing import Any, Final, get_args

import streamlit as st

from rag_adapt.client import Client, filled
from rag_adapt.core.types import LearnedFrom
from rag_adapt.schemas.adapters import TrainingProgress, TrainRequest
from rag_adapt.schemas.catalog import SkillInfo
from rag_adapt.schemas.jobs import JobInfo
from ui.faults import shown
from ui.figure import figure
from ui.job_watch import EVERY, OVER, open_only
from ui.run_charts import bits_of, training_loss
from ui.wording import NOTHING

SOURCES: Final = {
    "examples": "the skill's examples",
    "corpus": "rows made from its documents",
    "both": "examples and documents",
}
RANKS: Final = (1, 2, 4, 8, 16, 32, 64)
TRAINS: Final = ["adapters", "train"]
"""How the command of a training begins."""


def training_form(client: Client, skills: Sequence[SkillInfo]) -> None:
    """Skill, source and knobs; `Train` makes a job of it.

    Raises:
        ApiError: it cannot be trained, or too many jobs wait.
    """
    names = [skill.name for skill in skills if skill.fault is None]
    if not names:
        st.info("There is no skill to learn yet: bring one on the page Skills.")
        return
    with st.form("training"):
        fields = _fields(names)
        sent = st.form_submit_button("Train", type="primary")
    if sent:
        order = filled(TrainRequest, **{k: v for k, v in fields.items() if v is not None})
        open_only("job", client.adapters.train(order).id)


def show_curve(client: Client, job: JobInfo) -> None:
    """Loss and held-out code length of a training job, drawn again while it goes on."""
    if job.command[:2] != TRAINS or job.state == "queued":
        return
    if job.state in OVER:
        with shown():
            _draw(client.adapters.training(job.id))
        return
    _live(client, job.id)


@st.fragment(run_every=EVERY)
def _live(client: Client, id: str) -> None:
    with shown():
        found = client.adapters.training(id)
        if not found.data:
            st.caption("The curve begins with the first step: the model is being loaded.")
        _draw(found)


def _draw(found: TrainingProgress) -> None:
    """Figures of now, then the curve."""
    if not found.data:
        return
    losses = [(one.step, one.loss) for one in found.data if one.loss is not None]
    bits = [(one.step, one.bits) for one in found.data if one.bits is not None]
    with st.container(horizontal=True):
        st.metric("Steps", f"{found.data[-1].step:,} of {found.steps:,}")
        st.metric("Loss", f"{bits_of(losses[-1][1]):.2f} bits" if losses else NOTHING)
        st.metric("Held out, before", f"{bits[0][1]:.2f} bits" if bits else NOTHING)
        st.metric("Held out, now", f"{bits[-1][1]:.2f} bits" if bits else NOTHING)
    if losses or bits:
        figure(training_loss(losses, bits), key=f"live-{found.job}")


def _fields(names: Sequence[str]) -> dict[str, Any]:
    left, middle, right = st.columns(3)
    found: dict[str, Any] = {
        "skill": left.selectbox("Skill", names),
        "learn_from": middle.selectbox(
            "Learns from", get_args(LearnedFrom), format_func=lambda one: SOURCES[one]
        ),
        "examples": right.number_input("Examples", min_value=1, value=None, placeholder="all"),
    }
    found["context"] = left.toggle("With retrieved passages", help="For the route rag+lora.")
    with st.expander("More"):
        left, middle, right = st.columns(3)
        found["rank"] = left.selectbox("Rank", RANKS, index=RANKS.index(8))
        found["epochs"] = middle.number_input("Epochs", min_value=1, max_value=100, value=1)
        found["seed"] = right.number_input("Seed", min_value=0, value=0)
        found["learning_rate"] = left.number_input(
            "Learning rate", min_value=1e-4, max_value=1e-3, value=5e-4, step=1e-4, format="%.4f"
        )
        found["general_share"] = middle.number_input(
            "Share of general data", min_value=0.0, max_value=0.5, value=0.0, step=0.05
        )
        found["sweep"] = right.toggle(
            "Choose the knobs on dev first", help="Takes a few trainings."
        )
    return found
