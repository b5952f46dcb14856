"""What a benchmark shall measure: the form, the plan, the start.

It does not know how anything is measured. The order stands in the page's address, so that a
reload forgets nothing.
"""

import json
from collections.abc import Sequence
from typing import Any, Final
from uuid import uuid4

import streamlit as st

from rag_adapt.client import Client, filled
from rag_adapt.schemas.catalog import SkillInfo
from rag_adapt.schemas.runs import ARMS, PlanLine, RunRequest
from ui.wording import NOTHING, duration, plural

KINDS: Final = {
    "prompt": "the best prompt of those that were tried",
    "few-shot": "prompt with four fixed examples",
    "few-shot-nearest": "prompt with the four nearest examples",
    "rag": "prompt with retrieved passages",
    "lora": "prompt with a trained adapter",
    "rag+lora": "passages and an adapter trained with them",
    "rag+lora-blind": "passages and an adapter that never saw any",
    "prompt-twin": "control: the prompt again, what noise alone does",
    "bare": "control: the input alone",
    "closed-book": "control: the passages' prompt without passages",
    "oracle": "control: the right passages",
    "placebo": "control: passages of another question",
    "adapter-off": "control: the adapter switched off",
    "whole-corpus": "all documents in the prompt",
    "majority": "control: always the most frequent label",
    "nearest-label": "control: the answer of the nearest example",
}
"""Arms in words."""
DOSES: Final = (1, 10, 50, 200, 1000)
"""Sizes of a dose curve that are offered."""


def order_form(skills: Sequence[SkillInfo], draft: RunRequest | None = None) -> None:
    """Skills, arms and budget; `Plan` writes the order into the address.

    Args:
        skills: What can be measured.
        draft: What the form shows at first.
    """
    names = [skill.name for skill in skills if skill.fault is None]
    wanted = [name for name in (draft.skills if draft else ()) if name in names]
    arms_wanted = [arm for arm in (draft.arms if draft else ARMS) if arm in KINDS]
    with st.form("order"):
        chosen = st.multiselect(
            "Skills", names, default=wanted, placeholder="What shall be measured?"
        )
        arms = st.multiselect(
            "Arms",
            list(KINDS),
            default=arms_wanted,
            format_func=lambda arm: f"{arm}: {KINDS[arm]}",
            help="The ways of answering that are compared, and controls that show what a score is "
            "worth. Every arm answers the same items with the same model.",
        )
        more = _budget(draft or RunRequest(skills=["none"]))
        planned = st.form_submit_button("Plan", type="primary")
    if planned:
        _take(chosen, arms, more)


def _budget(draft: RunRequest) -> dict[str, Any]:
    """What is left empty stays the service's own default."""
    left, middle, right = st.columns(3)
    more: dict[str, Any] = {
        "items": left.number_input(
            "Test items per skill", min_value=1, value=draft.items, placeholder="all"
        ),
        "examples": middle.number_input(
            "Training examples", min_value=1, value=draft.examples, placeholder="all"
        ),
        "tune": right.number_input(
            "Dev answers for tuning",
            min_value=0,
            value=draft.tune,
            help="Answers to items outside the test, per route: they choose how it asks.",
        ),
    }
    with st.expander("More"):
        left, middle, right = st.columns(3)
        more["train_seeds"] = left.number_input(
            "Adapters per arm",
            min_value=1,
            max_value=20,
            value=draft.train_seeds,
            help="3 to say more of LoRA.",
        )
        more["epochs"] = middle.number_input(
            "Epochs", min_value=1, max_value=100, value=draft.epochs
        )
        more["folds"] = right.number_input(
            "Folds",
            min_value=0,
            max_value=20,
            value=draft.folds,
            help="0 keeps the skill's own splits.",
        )
        more["repeats"] = left.number_input(
            "Repeats", min_value=1, max_value=100, value=draft.repeats
        )
        more["seed"] = middle.number_input("Seed", min_value=0, value=draft.seed)
        more["doses"] = st.multiselect(
            "Dose curve",
            sorted({*DOSES, *draft.doses}),
            default=draft.doses,
            placeholder="none",
            help="So many examples as shots, as nearest shots and as adapter: how each learns.",
        )
        more["guard"] = right.toggle("Measure what adapters damage", value=draft.guard)
    return more


def _take(skills: list[str], arms: list[str], more: dict[str, Any]) -> None:
    if not skills or not arms:
        st.warning("Choose at least one skill and one arm.")
        return
    given = {name: value for name, value in more.items() if value is not None}
    order = filled(RunRequest, skills=skills, arms=arms, **given)
    st.query_params.from_dict({"order": order.model_dump_json(exclude_unset=True)})
    st.rerun()


def order_of(text: str) -> RunRequest:
    """The order that stands in the address.

    Raises:
        ApiError: it is none.
    """
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    return filled(RunRequest, **(found if isinstance(found, dict) else {}))


def show_plan(client: Client, order: RunRequest) -> None:
    """What the run would ask, and which difference it could show; then a button that starts it.

    Raises:
        ApiError: it cannot become a plan, or too many jobs wait.
    """
    lines = client.runs.plan(order).data
    st.subheader("The plan", anchor=False)
    asked, trained, took = st.columns(3)
    asked.metric("Answers", f"{sum(line.answers + line.dev_answers for line in lines):,}")
    trained.metric("Trainings", f"{sum(line.trainings for line in lines):,}")
    took.metric("Time of the answers", _time(lines), help="By the prices of the newest like run.")
    for line in lines:
        st.text(_sentence(line))
    st.dataframe([_row(line) for line in lines], hide_index=True, alt="What each skill takes")
    _start(client, order)


def _time(lines: Sequence[PlanLine]) -> str:
    known = [line.seconds for line in lines if line.seconds is not None]
    return duration(sum(known)) if len(known) == len(lines) else "not known yet"


def _sentence(line: PlanLine) -> str:
    return (
        f"{line.skill}: with {plural(line.items, 'item')} a difference of "
        f"{100 * line.detectable:.0f} points would be found four times out of five."
    )


def _row(line: PlanLine) -> dict[str, Any]:
    return {
        "skill": line.skill,
        "test items": line.items,
        "training examples": line.examples,
        "answers": line.answers,
        "dev answers, at most": line.dev_answers,
        "trainings": line.trainings,
        "detectable difference (points)": round(100 * line.detectable, 1),
        "time of answers": duration(line.seconds) if line.seconds is not None else NOTHING,
        "arms": ", ".join(line.arms),
    }


def _start(client: Client, order: RunRequest) -> None:
    """One key per plan that is looked at: pressing twice starts one run."""
    key = st.session_state.setdefault("run-key", uuid4().hex)
    start, back = st.columns(2)
    if start.button("Start", type="primary", width="stretch"):
        job = client.runs.start(order, key=key)
        del st.session_state["run-key"]
        st.query_params["job"] = job.id
        st.rerun()
    if back.button("Change", width="stretch"):
        st.query_params.from_dict({"draft": order.model_dump_json(exclude_unset=True)})
        st.rerun()
