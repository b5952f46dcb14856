"""A request for a run as a plan, and as the command line that makes it.

It does not know HTTP. Only fields that are named here become flags; nothing in a request is a path.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rag_adapt.core.errors import SkillError
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
APART: Final = frozenset({"skills", "arms", "contrasts", "doses"})
"""What is written in a way of its own."""
OURS: Final = ("model", "embedder", "engine", "api_base", "device", "retriever")
"""Settings that flags of `serve` may have changed: a job must run with the same."""


class UnknownSkillError(SkillError):
    """There is no skill of that name."""

    code = "skill-not-found"
    status = 404


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
