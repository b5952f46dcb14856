"""Uploads wait under their digits, and do not pile up."""

import os
from pathlib import Path

import pytest

from rag_adapt.adapters.incoming import KEPT, STALE_SECONDS, Incoming
from rag_adapt.adapters.store import AdapterStore
from rag_adapt.adapters.upload import Taken
from rag_adapt.core.errors import AdapterError
from tests.adapters.samples import write_adapter


def taken(number: int) -> Taken:
    return Taken(digits=f"{number:012x}", rank=2, alpha=4, claimed_base="b", claimed_peft=None)


@pytest.fixture
def incoming(tmp_path: Path) -> Incoming:
    return Incoming(AdapterStore(tmp_path))


def kept(incoming: Incoming, number: int) -> str:
    with incoming.workspace() as place:
        write_adapter(place / "adapter")
        incoming.keep(place, taken(number))
    return taken(number).digits


def test_an_upload_waits_with_what_is_known_about_it(incoming: Incoming, tmp_path: Path) -> None:
    digits = kept(incoming, 7)
    found = incoming.find(digits)
    assert found.taken == taken(7)
    assert (found.folder / "adapter_config.json").is_file()
    assert kept(incoming, 7) == digits
    assert len(list((tmp_path / "adapters" / ".incoming").iterdir())) == 1
    assert AdapterStore(tmp_path).list() == ()


@pytest.mark.parametrize("digits", ["0" * 12, "../" + "0" * 9, "", "x"])
def test_what_does_not_wait_is_said_so(incoming: Incoming, digits: str) -> None:
    with pytest.raises(AdapterError, match="waits to be imported"):
        incoming.find(digits)


def test_only_the_newest_stay_and_those_that_jobs_wait_for(
    incoming: Incoming, tmp_path: Path
) -> None:
    incoming.prune(spare=())
    digits = [kept(incoming, number) for number in range(KEPT + 3)]
    folder = tmp_path / "adapters" / ".incoming"
    for age, name in enumerate(digits):
        os.utime(folder / name, (1e9 + age, 1e9 + age))
    dead = folder / ".work-dead"
    dead.mkdir()
    os.utime(dead, (1e9, 1e9))
    (folder / ".work-alive").mkdir()
    incoming.prune(spare=[digits[0]])
    left = {path.name for path in folder.iterdir()}
    assert left == {digits[0], *digits[-KEPT:], ".work-alive"}
    assert STALE_SECONDS > 600
