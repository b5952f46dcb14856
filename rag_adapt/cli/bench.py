"""`rag-adapt bench`: flags in, a plan to wiring, tables out.

It does not know how a benchmark runs.
"""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rag_adapt.cli.console import bars, print_json, print_table, settings_of
from rag_adapt.core.types import LearnedFrom, Optimiser

if TYPE_CHECKING:
    from rag_adapt.bench.plan import Plan
    from rag_adapt.settings import Settings

DEFAULT_ARMS = "prompt,rag,lora,rag+lora,bare,nearest-label"


def bench(
    context: typer.Context,
    skill: Annotated[
        list[str] | None, typer.Argument(help="Skills (names or folders); default: all bundled.")
    ] = None,
    arms: Annotated[str, typer.Option(help="Comma-separated arms, or `all`.")] = DEFAULT_ARMS,
    model: Annotated[str | None, typer.Option(help="`default`, a folder, or a hub id.")] = None,
    embedder: Annotated[str | None, typer.Option(help="As --model; or `hashing`.")] = None,
    engine: Annotated[
        str | None,
        typer.Option(help="`embedded`, `vllm`, `remote` (through LiteLLM) or `scripted`."),
    ] = None,
    api_base: Annotated[str | None, typer.Option(help="Server's base URL, for remote.")] = None,
    device: Annotated[str | None, typer.Option(help="`auto`, `cpu` or `cuda`.")] = None,
    retriever: Annotated[
        str | None,
        typer.Option(help="A LangChain VectorStore or BaseRetriever as `package.module:factory`."),
    ] = None,
    items: Annotated[int | None, typer.Option(help="Test items per skill; default all.")] = None,
    examples: Annotated[
        int | None, typer.Option(help="Training examples for every route; default all.")
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the examples.")] = 1,
    learn_from: Annotated[
        LearnedFrom,
        typer.Option("--from", help="What `lora` learns: the examples, the documents, or both."),
    ] = "examples",
    corpus_rows: Annotated[
        int | None, typer.Option(min=1, help="Rows made from documents, at most; default all.")
    ] = None,
    rank: Annotated[int, typer.Option(help="Of the adapters.")] = 8,
    lr: Annotated[float, typer.Option(help="Learning rate of the adapters.")] = 5e-4,
    train_seeds: Annotated[
        int, typer.Option(min=1, help="Adapters per arm; 3 for a sentence about LoRA.")
    ] = 1,
    folds: Annotated[
        int, typer.Option(min=0, help="Cross-fitting: test every item; 0 keeps the splits.")
    ] = 0,
    tune: Annotated[
        int, typer.Option(min=0, help="Dev answers each route may spend on how it asks.")
    ] = 32,
    optimiser: Annotated[
        Optimiser, typer.Option(help="What it is spent with: our own search, or DSPy.")
    ] = "halving",
    doses: Annotated[
        str | None,
        typer.Option(
            metavar="N,N,..",
            help="A curve over so many examples as shots, nearest shots and adapter.",
        ),
    ] = None,
    contrast: Annotated[
        list[str] | None, typer.Option(help="A further pair to test, as `a:b`; repeatable.")
    ] = None,
    margin: Annotated[float, typer.Option(min=0.0, max=1.0, help="Of non-inferiority.")] = 0.05,
    guard: Annotated[
        bool, typer.Option("--guard/--no-guard", help="Measure what adapters damaged.")
    ] = True,
    probe: Annotated[
        bool, typer.Option("--probe/--no-probe", help="Say if the skill is latent or absent.")
    ] = True,
    choice: Annotated[
        bool, typer.Option("--choice/--no-choice", help="Score labels by likelihood too.")
    ] = True,
    repeats: Annotated[int, typer.Option(min=1, help="Answers per item and arm.")] = 1,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 is greedy.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Seed of every choice.")] = 0,
    top_k: Annotated[int | None, typer.Option(min=1, help="Passages per question.")] = None,
    latency_items: Annotated[
        int, typer.Option(min=0, help="Answers per arm asked alone, for latency.")
    ] = 3,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="float32, one by one: equal tokens.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Folder of the run.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print report.json.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan only.")] = False,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON schema of report.json.")
    ] = False,
) -> None:
    """Compare the routes on the same model and items; train and prove adapters as needed."""
    if schema:
        _print_schema()
        return
    settings = settings_of(
        context,
        model=model,
        embedder=embedder,
        engine=engine,
        api_base=api_base,
        device=device,
        retriever=retriever,
        top_k=top_k,
        deterministic=deterministic or None,
    )
    from rag_adapt import wiring
    from rag_adapt.bench.doses import parse_doses

    plan = wiring.plan(
        settings,
        skills=skill or [],
        arms=arms,
        items=items,
        examples=examples,
        epochs=epochs,
        learn_from=learn_from,
        corpus_rows=corpus_rows,
        rank=rank,
        learning_rate=lr,
        train_seeds=train_seeds,
        folds=folds,
        tune=tune,
        optimiser=optimiser,
        doses=parse_doses(doses or ""),
        contrasts=contrast or [],
        margin=margin,
        choice=choice,
        guard=guard,
        probe=probe,
        repeats=repeats,
        temperature=temperature,
        seed=seed,
        latency_items=latency_items,
    )
    if dry_run:
        _print_plan(plan, wiring.outline(settings, plan), as_json=as_json)
        return
    _run(settings, plan, out, as_json=as_json)


def _print_schema() -> None:
    from rag_adapt.bench.figures import schema

    print_json(schema())


def _run(settings: "Settings", plan: "Plan", out: Path | None, *, as_json: bool) -> None:
    from rag_adapt.wiring import bench as run_bench

    command = shlex.join(["rag-adapt", *sys.argv[1:]])
    with bars() as progress:
        finished = run_bench(settings, plan, out=out, command=command, progress=progress)
    if as_json:
        print_json(finished.report.model_dump(mode="json"))
        return
    print_report(finished.report, finished.folder.path)


def print_report(report: Any, folder: Path) -> None:
    """One table per skill, then where the record lies."""
    from rag_adapt.bench.table import COLUMNS, DOSE_COLUMNS, PAIR_COLUMNS, tables

    for table in tables(report):
        typer.echo()
        print_table(COLUMNS, table.rows, title=table.title)
        if table.pairs:
            print_table(PAIR_COLUMNS, table.pairs)
        if table.doses:
            print_table(DOSE_COLUMNS, table.doses)
        typer.echo(f"  {table.sentence}")
        for note in table.notes:
            typer.echo(f"  {note}")
    shown = {
        s: f"{n} of {report.run['available_items'][s]}" for s, n in report.run["items"].items()
    }
    if any(n < report.run["available_items"][s] for s, n in report.run["items"].items()):
        typer.echo(f"\nA small budget: {', '.join(f'{s} {n}' for s, n in shown.items())} items.")
        typer.echo("Intervals are wide at this n; `make bench-full` asks every item and arm.")
    typer.echo(f"\nRun {report.run['id']}, kept in {folder}: open {folder / 'report.html'}")


def _print_plan(plan: "Plan", lines: Any, *, as_json: bool) -> None:
    if as_json:
        print_json([line.as_json() for line in lines])
        return
    columns = (
        *("skill", "test items", "examples", "answers", "dev answers", "trainings"),
        *("detectable", "answering", "arms"),
    )
    rows = [
        (
            *(line.skill, str(line.items), str(line.examples), str(line.answers)),
            *(str(line.dev_answers), str(line.trainings), f"{100 * line.detectable:.0f} points"),
            "not known yet" if line.seconds is None else f"{line.seconds / 60:.1f} min",
            ", ".join(line.arms),
        )
        for line in lines
    ]
    print_table(columns, rows, title="Plan")
    for line in lines:
        if above := [str(size) for size in plan.doses if size > line.examples]:
            typer.echo(
                f"{line.skill}: doses left out: {', '.join(above)}; there are {line.examples} "
                "training examples."
            )
    typer.echo(
        "detectable: the difference that so many items show with 80 % power at the strictest of "
        "Holm's steps, if 30 % of them differ."
    )
    typer.echo("Nothing was asked. Leave out --dry-run to run it.")
