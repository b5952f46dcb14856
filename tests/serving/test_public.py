"""What strangers read of an error names no file of this machine."""

import pytest

from rag_adapt.core.errors import (
    CollectionError,
    EngineError,
    LockedError,
    ModelNotFoundError,
    RagAdaptError,
    StorageError,
)
from rag_adapt.serving.public import told, told_of_model

PLACE = "'/home/jane/rag/state.db'"


@pytest.mark.parametrize("kind", [StorageError, LockedError, CollectionError])
def test_files_and_commands_stay_inside(kind: type[RagAdaptError]) -> None:
    shown = told(kind(f"cannot use {PLACE}", hint=f"Delete it with `rm {PLACE}*`."))
    assert "/" not in shown.fact + shown.hint
    assert "rm " not in shown.hint


def test_other_errors_keep_their_words() -> None:
    shown = told(CollectionError("collection 'manual' is empty", hint="Add documents."))
    assert (shown.fact, shown.hint) == ("collection 'manual' is empty", "Add documents.")


def test_readiness_does_not_say_where_weights_were_looked_for() -> None:
    assert "/" not in told_of_model(ModelNotFoundError(f"no weights in {PLACE}", hint="x"))
    assert told_of_model(EngineError("no memory for it", hint="x")) == "no memory for it"
