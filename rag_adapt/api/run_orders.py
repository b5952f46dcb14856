"""A request for a run as a plan, and as the command line that makes it.

It does not know HTTP. Only fields that are named here become flags; nothing in a request is a path.
"""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from rag_adapt.bench.store import Header
from rag_adapt.core.errors import PlanError, SkillError, UserError
from rag_adapt.core.types import Fingerprint
from rag_adapt.schemas.runs import RunRequest
from rag_adapt.settings import Settings
from rag_adapt.skills.load import list_skills

if TYPE_CHECKING:
    from rag_adapt.bench.plan import Plan

OPTIONS: Final = {
    "items": "--items",
    "examples": "--examples",
    "epochs": "--epochs",
    "learn_from": "--from",
    "corpus_rows": "--corpus-rows",
    "rank": "--rank",
    "learning_rate": "--lr",
    "train_seeds": "--train-seeds",
    "folds": "--folds",
    "tune": "--tune",
    "optimiser": "--optimiser",
    "margin": "--margin",
    "repeats": "--repeats",
    "temperature": "--temperature",
    "seed": "--seed",
    "latency_items": "--latency-items",
    "top_k": "--top-k",
}
"""By field of a request."""
SWITCHES: Final = ("guard", "probe", "choice")
ALIKE: Final = (
    *("arms", "items", "examples", "folds", "train_seeds", "margin", "guard", "probe", "choice"),
    *("doses", "repeats", "seed", "temperature", "latency_items"),
)
"""Fields of a request that a run's plan keeps under the same name."""
APART: Final = frozenset({"skills", "arms", "contrasts", "doses"})
"""What is written in a way of its own."""
OURS: Final = ("model", "embedder", "engine", "api_base", "device", "retriever")
"""Settings that flags of `serve` may have changed: a job must run with the same."""


class UnknownSkillError(SkillError):
    """There is no skill of that name."""

    code = "skill-not-found"
    status = 404


class RunStateError(UserError):
    """The run cannot go on: it is finished, or this service would ask something else."""

    code = "run-state"
    status = 409


def check_skills(names: list[str], home: Path) -> None:
    """Stop unless every name is a skill's: the command line would also take a folder's.

    Raises:
        UnknownSkillError: naming those that are none.
    """
    known = {place.name for place in list_skills(home)}
    if unknown := sorted(set(names) - known):
        raise UnknownSkillError(
            f"there is no skill {', '.join(map(repr, unknown))}",
            hint="GET /v1/skills lists them; POST /v1/skills:import makes one.",
        )


def plan_of(order: RunRequest, settings: Settings) -> "Plan":
    """The plan that the command would follow.

    Raises:
        UnknownSkillError: a skill is none.
        PlanError: an arm or a contrast is none.
        MissingPackageError: it needs DSPy, which is not installed.
    """
    from rag_adapt import wiring

    check_skills(order.skills, settings.home)
    choices = order.model_dump(exclude={*APART, "top_k"})
    return wiring.plan(
        settings_of(order, settings),
        skills=order.skills,
        arms=",".join(order.arms),
        contrasts=order.contrasts,
        doses=tuple(sorted(set(order.doses))),
        **choices,
    )


def order_of(planned: Mapping[str, Any], settings: Settings) -> RunRequest:
    """The request that makes a kept run's plan again.

    Args:
        planned: The plan as its run keeps it.
        settings: Of this service: what is the same there is not named.

    Raises:
        PlanError: another version kept it.
    """
    try:
        epochs, rank, rate = planned["training"]
        tune, optimiser = planned["tune"]
        learn_from, corpus_rows = planned["learn_from"]
        top_k = planned["retrieval"][0]
        kept = {name: planned[name] for name in ALIKE}
        return RunRequest(
            skills=list(planned["skills"]),
            contrasts=[":".join(pair) for pair in planned["contrasts"]],
            epochs=epochs,
            rank=rank,
            learning_rate=rate,
            tune=tune,
            optimiser=optimiser,
            learn_from=learn_from,
            corpus_rows=corpus_rows,
            top_k=None if top_k == settings.top_k else top_k,
            **kept,
        )
    except (KeyError, TypeError, ValueError, ValidationError) as exc:
        raise PlanError(
            "the run's plan cannot be read: another version of rag-adapt kept it",
            hint="Start a new run.",
        ) from exc


def again(header: Header, settings: Settings, asked: Fingerprint) -> list[str]:
    """The command line that goes on with an unfinished run.

    Args:
        header: Of the run.
        settings: Of this service.
        asked: The model that this service asks.

    Raises:
        RunStateError: it is finished, or the same request would be another run by now.
        UnknownSkillError: its skill is gone.
        PlanError: another version kept it.
    """
    if header.state == "complete":
        raise RunStateError(f"run {header.id!r} is finished", hint="Start a new run.")
    order = order_of(header.plan, settings)
    plan = plan_of(order, settings)
    if plan.hash(asked) != header.plan_hash:
        differs = [n for n, v in plan.identity(asked).items() if header.plan.get(n) != v]
        raise RunStateError(
            f"the same request would be another run by now: {', '.join(differs)} changed",
            hint="Start a new run; what this one answered is kept.",
        )
    return command_of(order, settings)


def public_command(command: str) -> str:
    """What made a run, for a client: without the home and what else stood before `bench`.

    >>> public_command("rag-adapt --home /srv/state --progress-json bench --json -- orders")
    'rag-adapt bench --json -- orders'
    """
    try:
        words = shlex.split(command)
    except ValueError:  # written by hand, with a quote that does not end
        words = []
    if "bench" not in words:
        return "rag-adapt bench"
    return shlex.join(["rag-adapt", *(_without_folder(x) for x in words[words.index("bench") :])])


def _without_folder(word: str) -> str:
    """The last part of a path from the root; everything else as it is."""
    name, sign, value = word.rpartition("=")
    return f"{name}{sign}{Path(value).name}" if value.startswith("/") else word


def is_made_by(header: Header, argv: Sequence[str]) -> bool:
    """Whether a command line, without what stands before `bench`, is the one that made a run."""
    return f"{header.command} ".endswith(f" {shlex.join(argv)} ")


def settings_of(order: RunRequest, settings: Settings) -> Settings:
    """The service's settings, with what this request changes."""
    return settings if order.top_k is None else settings.model_copy(update={"top_k": order.top_k})


def command_of(order: RunRequest, settings: Settings) -> list[str]:
    """The command line after `rag-adapt`; values stand behind `=`, so that none is an option."""
    given = order.model_dump(exclude=set(APART))
    return [
        *("bench", "--json", *own_flags(settings, OURS)),
        *(["--deterministic"] if settings.deterministic else []),
        f"--arms={','.join(order.arms)}",
        *options(given, OPTIONS),
        *(f"--{name}" if given[name] else f"--no-{name}" for name in SWITCHES),
        *(f"--contrast={pair}" for pair in order.contrasts),
        *([f"--doses={','.join(map(str, order.doses))}"] if order.doses else []),
        *("--", *order.skills),
    ]


def own_flags(settings: Settings, names: tuple[str, ...]) -> list[str]:
    """Settings of the service as flags of a command; what is not set is left out."""
    values = {name: getattr(settings, name) for name in names}
    return options(values, {name: f"--{name.replace('_', '-')}" for name in names})


def options(values: dict[str, Any], flags: dict[str, str]) -> list[str]:
    """`--flag=value` for every value that is given."""
    return [f"{flags[n]}={values[n]}" for n in flags if values[n] is not None]
