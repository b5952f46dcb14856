"""The tree of errors is complete and each class says what a program needs."""

from collections.abc import Iterator

import pytest

from rag_adapt.core import errors
from rag_adapt.core.errors import EngineError, RagAdaptError, UserError


def tree(root: type[RagAdaptError]) -> Iterator[type[RagAdaptError]]:
    for child in root.__subclasses__():
        yield child
        yield from tree(child)


CLASSES = sorted(tree(RagAdaptError), key=lambda c: c.__name__)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda c: c.__name__)
def test_every_error_has_its_own_code_and_a_status_of_its_branch(kind: type[RagAdaptError]) -> None:
    assert [c.code for c in CLASSES].count(kind.code) == 1
    assert 400 <= kind.status < 600
    assert kind.__doc__


@pytest.mark.parametrize("kind", CLASSES, ids=lambda c: c.__name__)
def test_every_error_is_the_users_or_the_engines(kind: type[RagAdaptError]) -> None:
    assert issubclass(kind, UserError) != issubclass(kind, EngineError)


def test_the_drawing_names_every_class_of_the_module() -> None:
    drawn = errors.__doc__ or ""
    here = [c.__name__ for c in CLASSES if c.__module__ == errors.__name__]
    assert [name for name in here if name not in drawn] == []


def test_an_error_shows_the_fact_then_the_hint() -> None:
    assert str(EngineError("it broke", hint="mend it")) == "it broke\nmend it"
