"""`rag-adapt answer`: one question through one route.

It does not know how routes are built.
"""

from typing import Annotated

import typer

from rag_adapt.cli.console import bars, print_json, settings_of
from rag_adapt.core.errors import EngineError


def answer(
    context: typer.Context,
    question: Annotated[str, typer.Argument(help="The question: what an item's input would be.")],
    skill: Annotated[str, typer.Option(help="A skill's name or folder.")],
    route: Annotated[str, typer.Option(help="A route, such as prompt, rag, lora, rag+lora.")],
    trace: Annotated[
        bool, typer.Option("--trace", help="Print JSON: the answer and exactly what was sent.")
    ] = False,
    model: Annotated[str | None, typer.Option(help="As in `bench`.")] = None,
    embedder: Annotated[str | None, typer.Option(help="As in `bench`.")] = None,
    engine: Annotated[str | None, typer.Option(help="As in `bench`.")] = None,
    api_base: Annotated[str | None, typer.Option(help="As in `bench`.")] = None,
    retriever: Annotated[str | None, typer.Option(help="As in `bench`.")] = None,
) -> None:
    """Answer one question; with --trace, show what every step did and what was sent."""
    settings = settings_of(
        context,
        model=model,
        embedder=embedder,
        engine=engine,
        api_base=api_base,
        retriever=retriever,
    )
    from rag_adapt import wiring
    from rag_adapt.core.trace import Failure

    with bars() as progress:
        result = wiring.answer(settings, question, skill=skill, route=route, progress=progress)
    if isinstance(result, Failure):
        raise EngineError(f"{result.code}: {result.message}", hint=result.hint)
    if trace:
        print_json({"answer": result.text, "trace": result.trace.as_json()})
        return
    typer.echo(result.text)
