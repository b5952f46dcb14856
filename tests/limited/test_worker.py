"""One process reads many files; what is too much for it costs the one file that was."""

import json
import os
from typing import Any

import pytest

from rag_adapt.core.errors import CollectionError
from rag_adapt.limited.bounds import Bounds, ParserError
from rag_adapt.limited.many import allow
from rag_adapt.limited.worker import Worker
from tests.limited import tasks


def test_one_process_answers_all_and_prints_nothing_into_its_answers() -> None:
    with Worker(tasks.whoami) as worker:
        found = {worker.ask({})["process"] for _ in range(5)}
        assert found - {os.getpid()} == found
        assert len(found) == 1
        child = found.pop()
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_it_is_replaced_after_so_many_files() -> None:
    with Worker(tasks.whoami, files=2) as worker:
        found = [worker.ask({})["process"] for _ in range(4)]
    assert (found[0], found[2]) == (found[1], found[3])
    assert found[0] != found[2]


@pytest.mark.parametrize(
    ("asked", "bounds", "fact"),
    [
        ({"then": "sleep", "seconds": 60}, Bounds(seconds=5), "more than 5 s"),
        ({"then": "hoard", "bytes": 1 << 29}, Bounds(memory_bytes=1 << 28), "more than 256 MB"),
        ({"then": "dig"}, Bounds(), "nested too deeply"),
        ({"then": "talk", "bytes": 5000}, Bounds(result_bytes=4000), "more than 4000 bytes"),
        ({"then": "crash"}, Bounds(), "broke on it"),
        ({"then": "stumble"}, Bounds(), "broke on it"),
    ],
    ids=["time", "memory", "depth", "result", "crash", "unforeseen"],
)
def test_what_is_too_much_fails_alone(asked: dict[str, Any], bounds: Bounds, fact: str) -> None:
    with Worker(tasks.whoami, bounds=bounds) as worker:
        before = worker.ask({})["process"]
        with pytest.raises(ParserError, match=fact):
            worker.ask(asked)
        assert worker.ask({})["process"] != before


def test_computing_is_counted_for_each_file() -> None:
    bounds = Bounds(cpu_seconds=1)
    with Worker(tasks.whoami, bounds=bounds) as worker:
        for _ in range(2):  # together more than one file may take
            worker.ask({"then": "compute", "seconds": 0.6})
        with pytest.raises(ParserError, match="more than 1 s of computing"):
            worker.ask({"then": "compute", "seconds": 60})


def test_a_refusal_is_raised_as_the_caller_wants_it_and_ends_nothing() -> None:
    with Worker(tasks.whoami, refused_as=CollectionError) as worker:
        before = worker.ask({})["process"]
        with pytest.raises(CollectionError) as caught:
            worker.ask({"then": "refuse", "length": 2})
        assert (caught.value.fact, caught.value.hint) == ("no xx", "mend it")
        assert worker.ask({})["process"] == before


def test_a_question_of_any_length_goes_through() -> None:
    with Worker(tasks.echo) as worker:
        found = worker.ask({"text": "é\n" * 100_000})["asked"]
    assert len(json.dumps(found)) > 200_000


def test_the_limit_of_a_whole_life_is_never_raised() -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_CPU)
    allow(Bounds(cpu_seconds=10**6))
    soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, before)
    assert hard == before[1]
    assert soft > 10**6
