"""`rag-adapt adapters`: train, list, show, prove and remove adapters.

It does not know how any of that works.
"""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rag_adapt.cli.console import bars, print_json, print_table, settings_of

if TYPE_CHECKING:
    from rag_adapt.adapters.card import Card
    from rag_adapt.bench.proof import Proof
    from rag_adapt.core.protocols import Progress
    from rag_adapt.settings import Settings

app = typer.Typer(help="Train, list, show, prove and remove adapters.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Version = Annotated[str, typer.Argument(help="name@sha12, or a name for its current version.")]


@app.command()
def train(
    context: typer.Context,
    skill: Annotated[str, typer.Argument(help="Skill whose training items are learned.")],
    examples: Annotated[
        int | None, typer.Option(min=1, help="Training items, a seeded choice; default all.")
    ] = None,
    rank: Annotated[int, typer.Option(help="1, 2, 4, 8, 16, 32 or 64.")] = 8,
    lr: Annotated[float, typer.Option(help="Constant learning rate.")] = 5e-4,
    seed: Annotated[int, typer.Option(help="Of choice, start and order.")] = 0,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the items.")] = 1,
    batch_size: Annotated[int, typer.Option(min=1, help="Items per optimizer step.")] = 4,
    name: Annotated[str | None, typer.Option(help="Of the adapter; default the skill's.")] = None,
    model: Annotated[str | None, typer.Option(help="Base model; default from settings.")] = None,
    json: Json = False,
) -> None:
    """Train a LoRA adapter on a skill and make it current for its name."""
    from rag_adapt.adapters.examples import pick
    from rag_adapt.adapters.plan import Base, plan_for
    from rag_adapt.adapters.train import train as run_training
    from rag_adapt.models.chat import ChatFormat
    from rag_adapt.skills.load import find_skill
    from rag_adapt.wiring import adapter_store, language_files

    settings = settings_of(context, model=model)
    found = find_skill(skill, settings.home)
    plan = plan_for(
        found,
        pick(found.items_of("train"), examples, seed=seed),
        name=name,
        rank=rank,
        learning_rate=lr,
        epochs=epochs,
        batch_size=batch_size,
        seed=seed,
    )
    with bars() as progress:
        files = language_files(settings, progress)
        card = run_training(
            plan,
            base=Base.of(files, device=settings.device, deterministic=settings.deterministic),
            chat=ChatFormat.load(files.path, name=files.name),
            store=adapter_store(settings),
            progress=progress,
        )
    _print_card(card, json=json)


@app.command("list")
def list_(context: typer.Context, json: Json = False) -> None:
    """All adapters; `*` marks the current one of each name."""
    from rag_adapt.wiring import adapter_store

    store = adapter_store(settings_of(context))
    cards = store.list()
    if json:
        print_json([card.model_dump(mode="json") for card in cards])
        return
    columns = ("", "version", "skill", "base", "examples", "rank", "bits/token", "MB", "created")
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

    from rag_adapt.wiring import adapter_store

    settings = settings_of(context, model=model)
    found = adapter_store(settings).find(version)
    with bars() as progress:
        proof = asyncio.run(_prove(found, settings, progress))
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


async def _prove(version: str, settings: "Settings", progress: "Progress") -> "Proof":
    from rag_adapt.wiring import services

    live = services(settings, progress)
    try:
        await live.adapters.ensure_loaded(version)
        return await live.prove(version)
    finally:
        live.close()


def _row(card: "Card", *, current: bool) -> tuple[str, ...]:
    return (
        "*" if current else "",
        card.version,
        card.skill,
        card.base_model,
        str(card.examples),
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
    plain: dict[str, Any] = card.model_dump(mode="json", exclude={"settings", "loss_curve"})
    losses = [point.loss for point in card.loss_curve]
    figures = {
        **plain,
        **{f"settings.{key}": value for key, value in card.settings.model_dump().items()},
        "loss": f"{losses[0]:.3f} -> {losses[-1]:.3f} in {len(losses)} steps",
        "held-out bits/token": _bits(card),
    }
    print_table(("figure", "value"), [(key, str(value)) for key, value in figures.items()])
