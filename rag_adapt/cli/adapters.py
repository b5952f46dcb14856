"""`rag-adapt adapters`: train, import, list, show, prove and remove adapters.

It does not know how any of that works.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rag_adapt.cli import adapter_imports
from rag_adapt.cli.console import bars, print_json, print_table, settings_of
from rag_adapt.core.errors import AdapterError
from rag_adapt.core.types import LearnedFrom

if TYPE_CHECKING:
    from rag_adapt.adapters.card import Card, Trial
    from rag_adapt.adapters.general_data import GeneralRow
    from rag_adapt.adapters.plan import Base, TrainPlan
    from rag_adapt.adapters.store import AdapterStore
    from rag_adapt.core.protocols import Progress
    from rag_adapt.core.types import Item
    from rag_adapt.settings import Settings
    from rag_adapt.skills.skill import Skill

app = typer.Typer(
    help="Train, import, list, show, prove and remove adapters.", no_args_is_help=True
)
app.command("import")(adapter_imports.import_)
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Version = Annotated[str, typer.Argument(help="name@sha12, or a name for its current version.")]


@app.command()
def train(
    context: typer.Context,
    skill: Annotated[str, typer.Argument(help="Skill whose training items are learned.")],
    examples: Annotated[
        int | None, typer.Option(min=1, help="Training items, a seeded choice; default all.")
    ] = None,
    source: Annotated[
        LearnedFrom, typer.Option("--from", help="The skill's examples, its documents, or both.")
    ] = "examples",
    corpus_rows: Annotated[
        int | None, typer.Option(min=1, help="Rows made from documents, at most; default all.")
    ] = None,
    with_context: Annotated[
        bool, typer.Option("--context", help="Train with retrieved passages, for rag+lora.")
    ] = False,
    rank: Annotated[int, typer.Option(help="1, 2, 4, 8, 16, 32 or 64.")] = 8,
    lr: Annotated[float, typer.Option(help="Constant learning rate.")] = 5e-4,
    general_share: Annotated[
        float, typer.Option(help="Rows of general data per row: 0, 0.01, 0.05 or 0.25.")
    ] = 0.0,
    sweep: Annotated[
        bool, typer.Option("--sweep", help="Choose rank, rate and general share on dev first.")
    ] = False,
    budget: Annotated[
        float, typer.Option(help="Of the sweep, in full trainings beside the final one.")
    ] = 3.0,
    seed: Annotated[int, typer.Option(help="Of choice, start and order.")] = 0,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the items.")] = 1,
    batch_size: Annotated[int, typer.Option(min=1, help="Items per optimizer step.")] = 4,
    name: Annotated[str | None, typer.Option(help="Of the adapter; default the skill's.")] = None,
    model: Annotated[str | None, typer.Option(help="Base model; default from settings.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda.")] = None,
    gradient_checkpointing: Annotated[
        bool, typer.Option("--gradient-checkpointing", help="Less memory, half more time.")
    ] = False,
    four_bit: Annotated[
        bool, typer.Option("--four-bit", help="Hold the base model in four bits (bitsandbytes).")
    ] = False,
    memory_check: Annotated[
        bool, typer.Option("--memory-check/--no-memory-check", help="Estimate memory first.")
    ] = True,
    json: Json = False,
) -> None:
    """Train a LoRA adapter on a skill and make it current for its name.

    Interrupted, it goes on when the same command is given again.
    """
    from rag_adapt.skills.load import find_skill

    settings = settings_of(context, model=model, device=device)
    found = find_skill(skill, settings.home)
    wanted = _Wanted(
        count=examples, source=source, corpus_limit=corpus_rows, context=with_context, seed=seed
    )
    knobs = {
        "name": name,
        "rank": rank,
        "learning_rate": lr,
        "epochs": epochs,
        "batch_size": batch_size,
        "gradient_checkpointing": gradient_checkpointing,
    }
    work = _Work(
        settings=settings, skill=found, four_bit=four_bit, memory_check=memory_check, json=json
    )
    try:
        with bars() as progress:
            plan = _plan(found, settings, wanted, progress, **knobs)
            card = work.train(plan, general_share, budget if sweep else None, progress)
    except KeyboardInterrupt:
        typer.echo(
            "The training up to its last step is kept: the same command goes on from there.",
            err=True,
        )
        raise
    _print_card(card, json=json)
    if card.best_step == 0:
        typer.echo(
            "No step was better than the base model on dev: this adapter changes nothing and "
            "cannot be proven. Try a lower --lr, or more --examples.",
            err=True,
        )


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    """What an adapter shall learn from."""

    count: int | None
    """Training items; None is all."""
    source: LearnedFrom
    corpus_limit: int | None
    context: bool
    seed: int


def _plan(
    skill: "Skill", settings: "Settings", wanted: _Wanted, progress: "Progress", **knobs: Any
) -> "TrainPlan":
    from rag_adapt.adapters.examples import pick
    from rag_adapt.adapters.plan import plan_for

    seed = wanted.seed
    items = pick(skill.items_of("train"), wanted.count, seed=seed)
    if wanted.context:
        return _with_context(skill, settings, items, wanted, progress, **knobs)
    if wanted.source == "examples":
        return plan_for(skill, items, seed=seed, **knobs)
    from rag_adapt.adapters.from_corpus import corpus_rows
    from rag_adapt.wiring import documents

    read = documents(settings, skill)
    if not read:
        raise AdapterError(
            f"skill {skill.name!r} has no documents to learn from",
            hint="Put .md or .txt files into its folder `corpus/`, or use --from examples.",
        )
    made = corpus_rows(skill, read, limit=wanted.corpus_limit, seed=seed)
    if wanted.source == "corpus":
        items = ()
    return plan_for(skill, items, seed=seed, extra=made.rows, learned_from=wanted.source, **knobs)


def _with_context(
    skill: "Skill",
    settings: "Settings",
    items: "Sequence[Item]",
    wanted: _Wanted,
    progress: "Progress",
    **knobs: Any,
) -> "TrainPlan":
    """The plan of the adapter that a benchmark's `rag+lora` would train from these items."""
    from rag_adapt.adapters.plan import plan_for
    from rag_adapt.wiring import training_passages

    if wanted.source != "examples":
        raise AdapterError(
            f"--context was given with --from {wanted.source}: rows made from documents carry no "
            "retrieved passages",
            hint="Leave out one of the two.",
        )
    suffix = "-context"
    knobs["name"] = knobs["name"] or f"{skill.name[: 48 - len(suffix)]}{suffix}"
    plan_for(skill, items, seed=wanted.seed, **knobs)  # bad knobs are refused before indexing
    passages = training_passages(settings, skill, items, seed=wanted.seed, progress=progress)
    return plan_for(skill, items, seed=wanted.seed, passages=passages, **knobs)


@dataclass(frozen=True, kw_only=True)
class _Work:
    """What a training needs beside its plan."""

    settings: "Settings"
    skill: "Skill"
    four_bit: bool
    memory_check: bool
    json: bool

    def train(
        self, plan: "TrainPlan", share: float, budget: float | None, progress: "Progress"
    ) -> "Card":
        """Get the model, mix in general data, search where asked to, and train."""
        from rag_adapt.adapters.general_data import with_general
        from rag_adapt.adapters.plan import Base
        from rag_adapt.adapters.sweep import SHARES
        from rag_adapt.adapters.sweep import sweep as search
        from rag_adapt.adapters.train import train as run_training
        from rag_adapt.models.chat import ChatFormat
        from rag_adapt.wiring import adapter_store, language_files

        files = language_files(self.settings, progress)
        base = Base.of(
            files,
            device=self.settings.device,
            deterministic=self.settings.deterministic,
            four_bit=self.four_bit,
        )
        chat = ChatFormat.load(files.path, name=files.name)
        store = adapter_store(self.settings)
        most = share if budget is None else max(SHARES)
        general = self._general(plan, most, base, store, progress)
        tried: tuple[Trial, ...] = ()
        if budget is None:
            plan = with_general(plan, share, general)
        else:
            found = search(
                plan,
                general=general,
                base=base,
                chat=chat,
                store=store,
                progress=progress,
                budget=budget,
                check_memory=self.memory_check,
            )
            plan, tried = found.winner, found.trials
            _print_trials(tried, json=self.json)
        return run_training(
            plan,
            base=base,
            chat=chat,
            store=store,
            progress=progress,
            sweep=tried,
            check_memory=self.memory_check,
        )

    def _general(
        self,
        plan: "TrainPlan",
        share: float,
        base: "Base",
        store: "AdapterStore",
        progress: "Progress",
    ) -> "tuple[GeneralRow, ...]":
        from rag_adapt.adapters.general_data import general_rows, rows_wanted
        from rag_adapt.adapters.train import load
        from rag_adapt.skills.load import bundled_names, find_skill

        return general_rows(
            rows_wanted(len(plan.rows), share),
            skill=self.skill,
            others=[find_skill(name, self.settings.home) for name in sorted(bundled_names())],
            base=base,
            load=lambda: load(base),
            folder=store.folder,
            seed=plan.seed,
            progress=progress,
        )


@app.command("list")
def list_(context: typer.Context, json: Json = False) -> None:
    """All adapters; `*` marks the current one of each name."""
    from rag_adapt.wiring import adapter_store

    store = adapter_store(settings_of(context))
    cards = store.list()
    if json:
        print_json([card.model_dump(mode="json") for card in cards])
        return
    columns = (
        "",
        "version",
        "skill",
        "base",
        "examples",
        "context",
        "rank",
        "bits/token",
        "MB",
        "created",
    )
    rows = [_row(card, current=store.current(card.name) == card.version) for card in cards]
    print_table(columns, rows)
    for version in store.broken():
        typer.echo(f"{version}: its card cannot be read", err=True)


@app.command()
def show(context: typer.Context, version: Version, json: Json = False) -> None:
    """Verify an adapter's files and print its card."""
    from rag_adapt.wiring import adapter_store

    store = adapter_store(settings_of(context))
    found = store.find(version)
    store.get(found)
    _print_card(store.card(found), json=json)


@app.command()
def prove(
    context: typer.Context,
    version: Version,
    model: Annotated[str | None, typer.Option(help="Base model; default from settings.")] = None,
    json: Json = False,
) -> None:
    """Load an adapter and show that it is active: hash, chat template, canary, parity."""
    from dataclasses import asdict

    from rag_adapt.wiring import adapter_store, prove_afresh

    settings = settings_of(context, model=model)
    found = adapter_store(settings).find(version)
    with bars() as progress:
        proof = asyncio.run(prove_afresh(settings, found, progress))
    if json:
        print_json({"version": found, **asdict(proof)})
    else:
        rows = [(c.name, "passed" if c.passed else "failed", c.detail) for c in proof.checks]
        print_table(("check", "result", "detail"), rows, title=found)
    proof.require()


@app.command()
def remove(
    context: typer.Context,
    version: Version,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete an adapter's files."""
    from rag_adapt.wiring import adapter_store

    store = adapter_store(settings_of(context))
    found = store.find(version)
    if not yes and not typer.confirm(f"Delete {found}?"):
        typer.echo(f"kept {found}")
        return
    store.remove(found)
    typer.echo(f"removed {found}")


def _row(card: "Card", *, current: bool) -> tuple[str, ...]:
    return (
        "*" if current else "",
        card.version,
        card.skill,
        card.base_model,
        "imported" if card.imported else str(card.examples),
        "yes" if card.with_context else "-",
        str(card.settings.rank),
        _bits(card),
        f"{card.size_bytes / 1e6:.1f}",
        card.created,
    )


def _bits(card: "Card") -> str:
    if card.dev_bits_before is None or card.dev_bits_after is None:
        return "-"
    return f"{card.dev_bits_before:.2f} -> {card.dev_bits_after:.2f}"


def _print_card(card: "Card", *, json: bool) -> None:
    if json:
        print_json(card.model_dump(mode="json"))
        return
    shown_apart = {"settings", "loss_curve", "dev_curve", "general", "sweep"}
    losses = [point.loss for point in card.loss_curve]
    figures: dict[str, Any] = {
        "held-out bits/token": _bits(card),
        "checks": ", ".join(f"{point.bits:.2f} at step {point.step}" for point in card.dev_curve),
        "loss": f"{losses[0]:.3f} -> {losses[-1]:.3f} in {len(losses)} steps" if losses else "-",
        **card.model_dump(mode="json", exclude=shown_apart),
        **{f"settings.{key}": value for key, value in card.settings.model_dump().items()},
        "general": ", ".join(f"{source.rows} of {source.name}" for source in card.general) or "-",
    }
    print_table(("figure", "value"), [(key, _shown(value)) for key, value in figures.items()])


def _shown(value: Any) -> str:
    return "-" if value is None else str(value)


def _print_trials(trials: "Sequence[Trial]", *, json: bool) -> None:
    from rag_adapt.adapters.sweep import table

    rows = table(trials)
    if not json:
        print_table(tuple(rows[0]), [tuple(row.values()) for row in rows], title="sweep, on dev")
