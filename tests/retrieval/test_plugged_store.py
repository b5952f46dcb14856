"""Another vector store answers in place of ours, by its import path: Qdrant, on the disk."""

import asyncio
import json
from pathlib import Path

import pytest

from rag_adapt.cli.app import run
from rag_adapt.core.types import Passage
from rag_adapt.retrieval.langchain_retriever import LangChainStore, load_retriever
from tests.plugged_store import CORPUS
from tests.retrieval.fakes import MANUAL, write_corpus
from tests.samples import write_skill


def asked(path: str, query: str, k: int) -> tuple[Passage, ...]:
    return asyncio.run(load_retriever(path).search(query, k))


def test_a_store_finds_passages_with_their_exact_places_and_its_own_scores() -> None:
    write_corpus(CORPUS)
    store = load_retriever("tests.plugged_store:make")
    assert isinstance(store, LangChainStore)
    hits = asyncio.run(store.search("How many litres of water does the kettle hold?", 3))
    assert hits[0].document == "filling.md"
    assert len(hits) == 3
    for hit in hits:
        assert hit.text == MANUAL[hit.document][hit.start : hit.end]
    scores = [hit.score for hit in hits]
    assert scores == sorted(scores, reverse=True)
    assert 0.0 <= scores[-1] < scores[0] <= 1.0
    assert len(asyncio.run(store.search("vinegar", 1))) == 1


def test_a_store_that_knows_no_relevance_is_taken_by_rank() -> None:
    hits = asked("tests.plugged_store:without_relevance", "second", 2)
    assert [(hit.text, hit.score) for hit in hits] == [("second", 1.0), ("first", 0.5)]


def test_a_route_answers_from_the_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_corpus(CORPUS)
    skill = write_skill(tmp_path / "things", corpus=True)
    answer = ["answer", "How many litres?", "--skill", str(skill), "--route", "rag", "--trace"]
    plug = ["--engine", "scripted", "--embedder", "hashing"]
    assert run([*answer, *plug, "--retriever", "tests.plugged_store:make"]) == 0
    events = json.loads(capsys.readouterr().out)["trace"]["events"]
    found = events[0]["detail"]["passages"]
    assert found[0]["document"] == "filling.md"
    assert "1.7 litres" in events[-1]["detail"]["call"]["messages"][-1]["content"]
