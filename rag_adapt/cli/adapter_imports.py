"""`rag-adapt adapters import`: an adapter that was trained elsewhere.

It does not know how it is checked, probed or stored.
"""

import asyncio
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rag_adapt.cli.console import bars, print_json, print_table, settings_of
from rag_adapt.core.errors import AdapterError

if TYPE_CHECKING:
    from rag_adapt.adapters.card import Card
    from rag_adapt.adapters.incoming import Upload
    from rag_adapt.core.protocols import Progress
    from rag_adapt.core.types import Passage
    from rag_adapt.models.files import ModelFiles
    from rag_adapt.settings import Settings
    from rag_adapt.skills.skill import Skill


def import_(
    context: typer.Context,
    name: Annotated[str, typer.Option(help="Of the adapter.")],
    skill: Annotated[str, typer.Option(help="Skill whose route it shall serve.")],
    source: Annotated[
        Path | None,
        typer.Argument(metavar="[FOLDER]", help="PEFT's folder, or a .zip, .tar or .tar.gz of it."),
    ] = None,
    upload: Annotated[
        str | None, typer.Option(help="What was uploaded to the service, in place of FOLDER.")
    ] = None,
    with_context: Annotated[
        bool, typer.Option("--context", help="It was trained with passages, for rag+lora.")
    ] = False,
    model: Annotated[str | None, typer.Option(help="Base model; default from settings.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check and probe an adapter that was trained elsewhere; it becomes current for its name."""
    from rag_adapt.adapters.store import check_name
    from rag_adapt.skills.load import find_skill

    check_name(name)
    settings = settings_of(context, model=model, device=device)
    found = find_skill(skill, settings.home)
    with ExitStack() as stack, bars() as progress:
        waiting = _waiting(source, upload, settings, stack, progress)
        card = _imported(waiting, name, found, with_context, settings, progress)
    if json:
        print_json(card.model_dump(mode="json"))
        return
    _print(card)


def _waiting(
    source: Path | None,
    upload: str | None,
    settings: "Settings",
    stack: ExitStack,
    progress: "Progress",
) -> "Upload":
    """What is to be imported, checked.

    Raises:
        AdapterError: both or neither were named, or it is no adapter.
    """
    from rag_adapt.adapters.incoming import Incoming
    from rag_adapt.wiring import adapter_store, language_files

    if (source is None) == (upload is None):
        raise AdapterError(
            "adapters import needs a folder, or else --upload",
            hint="For example `rag-adapt adapters import FOLDER --name NAME --skill SKILL`.",
        )
    if source is None:
        return Incoming(adapter_store(settings)).find(str(upload))
    place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rag-adapt-adapter-")))
    return asyncio.run(_taken(_sent(source), place, language_files(settings, progress)))


def _sent(source: Path) -> dict[str, Path]:
    """The files that are meant, by name.

    Raises:
        AdapterError: they are not there.
    """
    from rag_adapt.adapters.upload import NEEDED

    if not source.exists():
        raise AdapterError(f"there is no {str(source)!r}", hint="Check the path of FOLDER.")
    if not source.is_dir():
        return {source.name: source.absolute()}
    found = {name: source.absolute() / name for name in NEEDED}
    if missing := [name for name, path in found.items() if not path.is_file()]:
        raise AdapterError(
            f"folder {str(source)!r} holds no {missing[0]!r}",
            hint="Name a folder that PEFT's `save_pretrained` wrote.",
        )
    return found


async def _taken(sent: dict[str, Path], folder: Path, base: "ModelFiles") -> "Upload":
    from rag_adapt.adapters.incoming import Upload
    from rag_adapt.adapters.upload import (
        Taken,
        UnfitAdapterError,
        base_shapes,
        bounds_for,
        order,
        take,
    )
    from rag_adapt.limited.call import call
    from rag_adapt.models.files import weight_files

    shapes = base_shapes(weight_files(base.path))
    asked = order(sent, folder, shapes)
    known = await call(take, asked, refused_as=UnfitAdapterError, bounds=bounds_for(shapes))
    return Upload(folder=folder, taken=Taken(**known))


def _imported(
    waiting: "Upload",
    name: str,
    skill: "Skill",
    with_context: bool,
    settings: "Settings",
    progress: "Progress",
) -> "Card":
    from rag_adapt.adapters.imported import Arrival, import_adapter
    from rag_adapt.adapters.plan import Base
    from rag_adapt.wiring import adapter_store, language_files

    base = Base.of(
        language_files(settings, progress),
        device=settings.device,
        deterministic=settings.deterministic,
    )
    arrival = Arrival(
        folder=waiting.folder,
        taken=waiting.taken,
        name=name,
        skill=skill,
        passages=_passages(skill, settings, progress) if with_context else None,
    )
    return import_adapter(arrival, base=base, store=adapter_store(settings), progress=progress)


def _passages(
    skill: "Skill", settings: "Settings", progress: "Progress"
) -> "dict[str, tuple[Passage, ...]]":
    """What retrieval finds for the items of the probe; indexes first."""
    from rag_adapt.adapters.imported import probe_items
    from rag_adapt.wiring import training_passages

    asked = probe_items(skill, with_context=True)
    beside = [item for item in asked if item.split == "train"]
    return training_passages(settings, skill, beside, seed=0, progress=progress)


def _print(card: "Card") -> None:
    came = card.imported
    rows = [
        ("version", card.version),
        ("skill", card.skill),
        ("base", card.base_model),
        ("rank", str(card.settings.rank)),
        ("says it was trained for", (came and came.claimed_base) or "-"),
        ("MB", f"{card.size_bytes / 1e6:.1f}"),
    ]
    print_table(("figure", "value"), rows, title="trained here" if came is None else "imported")
    typer.echo(f"Prove it: rag-adapt adapters prove {card.version}")
