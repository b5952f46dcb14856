"""Links and levels on the command line."""

import json
from pathlib import Path
from typing import Any

import pytest

from rag_adapt.cli.app import run
from rag_adapt.retrieval.options import SearchOptions
from rag_adapt.settings import load_settings
from rag_adapt.wiring import search_options
from rag_adapt.wiring_engines import searched_as
from tests.retrieval.fakes import write_corpus

TEXTS = {
    "care.md": "# Care\n\nRinse the kettle with vinegar. <<connects_to: FILTER>>\n",
    "filter.md": "# Filter\n\n<<unit: FILTER>> <<level: 2>> Soak it over night.\n",
}
SEARCH = ("index", "search", "manual", "vinegar", "--mode", "lexical")


@pytest.fixture(autouse=True)
def built(capsys: pytest.CaptureFixture[str]) -> None:
    write_corpus(Path("source"), TEXTS)
    build = ["index", "build", "manual", "source", "--embedder", "hashing"]
    assert run([*build, "--links", "given,terms"]) == 0
    assert "2 documents, 2 chunks" in capsys.readouterr().out


def printed(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_search_follows_links_where_it_is_told_to(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*SEARCH, "--json"]) == 0
    assert [hit["document"] for hit in printed(capsys)["hits"]] == ["care.md"]
    assert run([*SEARCH, "--links", "given", "--link-share", "0.5", "--json"]) == 0
    alone, linked = printed(capsys)["hits"]
    assert "via" not in alone
    assert (linked["document"], linked["score"]) == ("filter.md", pytest.approx(0.5 / 11))
    assert linked["via"]["source"]["document"] == "care.md"
    assert run([*SEARCH, "--links", "given"]) == 0
    assert "given: connects_to" in " ".join(capsys.readouterr().out.split())


def test_search_keeps_to_levels(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--links", "given", "--levels", "2", "--json"]
    assert run([*SEARCH, *options]) == 0
    assert [hit["document"] for hit in printed(capsys)["hits"]] == ["filter.md"]


def test_settings_say_it_for_routes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAG_ADAPT_SEARCH_LINKS", "terms,given")
    monkeypatch.setenv("RAG_ADAPT_SEARCH_LEVELS", "1,2")
    settings = load_settings(search_mode="lexical")
    assert searched_as(settings) == "lexical, links given+terms 0.3, levels 1+2"
    assert search_options(settings).links == ("given", "terms")
    levels = search_options(load_settings(search_links="none"))
    assert levels.links == ("headings",)


def test_the_default_search_is_one_and_no_other_is_taken_for_it() -> None:
    assert search_options(load_settings()) == SearchOptions()
    assert searched_as(load_settings()) == "fused, constant 10, neighbours 0.3"
    before = load_settings(search_rank_constant=60, search_neighbours=0.0)
    assert searched_as(before) == "fused, constant 60, neighbours 0"


def test_show_counts_links_and_levels(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["index", "show", "manual"]) == 0
    shown = capsys.readouterr().out
    assert "connects_to" in shown
    assert "level 2" in shown
    assert run(["index", "show", "manual", "--json"]) == 0
    found = printed(capsys)
    assert found["kinds"] == ["given", "terms"]
    assert found["links"] == [{"kind": "given", "relation": "connects_to", "links": 1}]
    assert found["levels"] == {"1": 1, "2": 1}


def test_eval_asks_without_links_with_them_and_with_shuffled_ones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    question = {
        "question": "vinegar",
        "references": [{"document": "filter.md", "start": 10, "end": 20}],
    }
    Path("questions.jsonl").write_text(json.dumps(question))
    command = ["index", "eval", "manual", "--questions", "questions.jsonl", "--mode", "lexical"]
    assert run([*command, "--links", "given", "--json"]) == 0
    measured = printed(capsys)["measured"]
    assert [each["name"] for each in measured] == ["lexical", "lexical+links", "lexical+shuffled"]
    assert [each["metrics"]["token_recall"]["value"] for each in measured[:2]] == [0.0, 1.0]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        pytest.param(["--links", "friends"], "no links of kind 'friends'", id="kind"),
        pytest.param(["--levels", "0"], "no level '0'", id="level"),
        pytest.param(["--links", "meaning"], "without links of kind 'meaning'", id="not built"),
    ],
)
def test_what_is_not_there_is_named(
    capsys: pytest.CaptureFixture[str], options: list[str], problem: str
) -> None:
    assert run([*SEARCH, *options]) == 2
    assert problem in capsys.readouterr().err


def test_links_go_again(capsys: pytest.CaptureFixture[str]) -> None:
    build = ["index", "build", "manual", "source", "--embedder", "hashing", "--links", "none"]
    assert run([*build, "--json"]) == 0
    assert printed(capsys)["embedded"] == 0
    assert run(["index", "show", "manual", "--json"]) == 0
    assert printed(capsys)["kinds"] == []
