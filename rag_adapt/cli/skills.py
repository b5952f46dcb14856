"""`rag-adapt skills`: list, check, import and start skills.

It does not know how a skill is read, imported or judged.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rag_adapt.cli.console import print_json, print_table, settings_of
from rag_adapt.core.types import ScorerName, Task
from rag_adapt.skills.formats import Format

if TYPE_CHECKING:
    from rag_adapt.skills.importing import ImportReport
    from rag_adapt.skills.summary import Entry, Summary

SHOWN = 10
"""Near-duplicate pairs that `check` spells out."""

app = typer.Typer(help="List, check, import and start skills.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_(context: typer.Context, json: Json = False) -> None:
    """Bundled and imported skills with their sizes."""
    from rag_adapt.skills.summary import entries

    found = entries(settings_of(context).home)
    if json:
        print_json([_entry_json(entry) for entry in found])
        return
    columns = ("skill", "origin", "task", "scorer", "train", "dev", "test", "corpus", "title")
    print_table(columns, [_entry_row(entry) for entry in found])


@app.command()
def check(
    context: typer.Context,
    skill: Annotated[str, typer.Argument(help="Name of a skill, or path of a skill folder.")],
    json: Json = False,
) -> None:
    """Read a skill strictly; print what it holds, or every fault with file and line."""
    from rag_adapt.scoring.targets import checked_skill
    from rag_adapt.skills.load import find_folder
    from rag_adapt.skills.summary import summarise

    folder = find_folder(skill, settings_of(context).home)
    summary = summarise(checked_skill(folder, report=lambda fault: typer.echo(str(fault))))
    if json:
        print_json(_summary_json(summary))
    else:
        _print_summary(summary)


@app.command("import")
def import_(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="CSV, TSV, JSON Lines, BIG-Bench or SQuAD file.")],
    name: Annotated[str, typer.Option(help="Name of the new skill.")],
    input: Annotated[str, typer.Option(help="Column (or key) of the input.")] = "input",
    target: Annotated[str, typer.Option(help="Column (or key) of the target.")] = "target",
    format: Annotated[Format | None, typer.Option(help="Default: by ending or content.")] = None,
    split: Annotated[str | None, typer.Option(help="Column that holds train, dev or test.")] = None,
    split_ratio: Annotated[
        str | None, typer.Option(help="Shares of train/dev/test; default 0.6/0.2/0.2.")
    ] = None,
    corpus: Annotated[Path | None, typer.Option(help="Folder of documents to copy.")] = None,
    scorer: Annotated[ScorerName | None, typer.Option(help="Default: by the targets.")] = None,
    task: Annotated[Task | None, typer.Option(help="Default: by the targets.")] = None,
    labels: Annotated[str, typer.Option(help="Only these targets: a,b,c.")] = "",
    max_labels: Annotated[
        int | None, typer.Option(min=2, help="Only the most frequent targets, this many.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Items at most, sampled.")] = None,
    seed: Annotated[int, typer.Option(help="Of sampling and splitting.")] = 0,
    skip_bad: Annotated[bool, typer.Option(help="Leave out bad lines and list them.")] = False,
) -> None:
    """Make a skill of a file of examples, with a first template that you can edit."""
    from rag_adapt.skills.importing import Import, import_skill
    from rag_adapt.skills.splitting import ratio_for
    from rag_adapt.skills.tables import Columns

    order = Import(
        file=file,
        name=name,
        columns=Columns(input=input, target=target, split=split),
        format=format,
        ratio=ratio_for(split_ratio, column=split),
        corpus=corpus,
        task=task,
        scorer=scorer,
        labels=tuple(filter(None, map(str.strip, labels.split(",")))),
        max_labels=max_labels,
        limit=limit,
        seed=seed,
        skip_bad=skip_bad,
    )
    _print_import(import_skill(order, home=settings_of(context).home))


@app.command()
def new(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Name of the new skill.")],
    folder: Annotated[
        Path | None, typer.Option("--in", help="Where to make it; default <home>/skills.")
    ] = None,
) -> None:
    """Start a skill: a small valid folder, to be filled."""
    from rag_adapt.skills.load import imported_folder
    from rag_adapt.skills.scaffold import new_skill

    skill = new_skill(name, folder or imported_folder(settings_of(context).home))
    typer.echo(f"made {skill.folder}")
    typer.echo("Replace skill.toml's words, items.jsonl and templates/prompt.toml; then run")
    typer.echo(f"  rag-adapt skills check {skill.folder}")


def _entry_row(entry: "Entry") -> tuple[str, ...]:
    skill = entry.skill
    if skill is None:
        return (entry.name, entry.origin, "faulty", "", "", "", "", "", entry.fault or "")
    splits = (skill.training_items, skill.dev_items, skill.test_items)
    counts = (str(len(items)) for items in splits)
    has_corpus = "yes" if skill.corpus else "no"
    return (skill.name, entry.origin, skill.task, skill.scorer, *counts, has_corpus, skill.title)


def _entry_json(entry: "Entry") -> dict[str, Any]:
    skill = entry.skill
    known = {"name": entry.name, "origin": entry.origin, "folder": entry.folder}
    if skill is None:
        return {**known, "fault": entry.fault}
    return {
        **known,
        "fault": None,
        "title": skill.title,
        "task": skill.task,
        "scorer": skill.scorer,
        "train": len(skill.training_items),
        "dev": len(skill.dev_items),
        "test": len(skill.test_items),
        "labels": len(skill.labels),
        "corpus": skill.corpus is not None,
        "data_hash": skill.data_hash,
    }


def _print_summary(summary: "Summary") -> None:
    skill = summary.skill
    typer.echo(f"{skill.name}: {skill.title}")
    typer.echo(f"  folder     {skill.folder}")
    typer.echo(f"  task       {skill.task}, scored by {', '.join((skill.scorer, *skill.scorers))}")
    typer.echo(f"  answer     up to {skill.max_tokens} tokens, stop {list(skill.stop)}")
    typer.echo(f"  labels     {len(skill.labels)}")
    typer.echo(f"  templates  {', '.join(skill.templates)}")
    typer.echo(f"  corpus     {summary.documents} documents")
    typer.echo(f"  clusters   {skill.cluster}")
    typer.echo(f"  data hash  {skill.data_hash}")
    columns = ("split", "items", "clusters", "input chars (median)", "longest", "longest target")
    rows = [
        (s.split, *map(str, (s.items, s.clusters, s.median_input)), *map(str, _longest(s)))
        for s in summary.splits
    ]
    print_table(columns, rows)
    for warning in summary.warnings:
        typer.echo(f"warning: {warning}")
    for pair in summary.near_duplicates[:SHOWN]:
        typer.echo(f"  {pair.left} ~ {pair.right} ({pair.similarity:.2f})")
    if len(summary.near_duplicates) > SHOWN:
        typer.echo(f"  ... and {len(summary.near_duplicates) - SHOWN} more pairs (--json has all)")


def _longest(split: Any) -> tuple[int, int]:
    return split.longest_input, split.longest_target


def _summary_json(summary: "Summary") -> dict[str, Any]:
    from dataclasses import asdict

    skill = summary.skill
    return {
        "name": skill.name,
        "folder": str(skill.folder),
        "task": skill.task,
        "scorer": skill.scorer,
        "scorers": list(skill.scorers),
        "labels": list(skill.labels),
        "max_tokens": skill.max_tokens,
        "templates": list(skill.templates),
        "documents": summary.documents,
        "data_hash": skill.data_hash,
        "splits": [asdict(split) for split in summary.splits],
        "warnings": list(summary.warnings),
        "near_duplicates": [asdict(pair) for pair in summary.near_duplicates],
    }


def _print_import(report: "ImportReport") -> None:
    skill = report.skill
    for fault in report.left_out:
        typer.echo(f"left out {fault}")
    typer.echo(
        f"imported {len(skill.items)} of {report.rows} rows ({report.format}) as {skill.name!r}: "
        f"train {len(skill.training_items)}, dev {len(skill.dev_items)}, "
        f"test {len(skill.test_items)}"
    )
    typer.echo(
        f"  task {skill.task}, scorer {skill.scorer}, {len(skill.labels)} labels, "
        f"answers up to {skill.max_tokens} tokens"
    )
    for note in report.notes:
        typer.echo(f"  note: {note}")
    typer.echo(f"  edit {skill.folder / 'templates'} and {skill.folder / 'skill.toml'}; then run")
    typer.echo(f"  rag-adapt skills check {skill.name}")
