"""Reads the report that a run left behind.

It does not know how reports are made or shown.
"""

from pydantic import ValidationError

from rag_adapt.bench.figures import SCHEMA_VERSION, Report, readable
from rag_adapt.bench.store import RunFolder
from rag_adapt.core.errors import StorageError


def saved_report(run: RunFolder) -> Report:
    """The report of a finished run.

    Raises:
        RunNotFoundError: the run was not finished.
        StorageError: the report was written under another schema, or is damaged.
    """
    kept = run.report()
    version = kept.get("schema_version")
    if not readable(version):
        raise StorageError(
            f"the report of run {run.path.name!r} was written under schema {version!r}; this "
            f"version reads {SCHEMA_VERSION!r}",
            hint=f"Print it as it is with `rag-adapt runs show {run.path.name} --json`, or make it "
            f"again with the command of that run: {run.header.command}",
        )
    try:
        return Report.model_validate(kept)
    except ValidationError as exc:
        where = ".".join(map(str, exc.errors()[0]["loc"]))
        raise StorageError(
            f"the report of run {run.path.name!r} is damaged at {where!r}: "
            f"{exc.errors()[0]['msg']}",
            hint=f"Make it again with the command of that run: {run.header.command}",
        ) from exc
