"""Units with levels, and the links between them."""

import asyncio
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from rag_adapt.core.errors import CollectionError
from rag_adapt.core.types import Draft, LinkedPassage, Span
from rag_adapt.retrieval.build import build_collection, sync_collection
from rag_adapt.retrieval.check import check_collection
from rag_adapt.retrieval.collection import Collection, CollectionRetriever
from rag_adapt.retrieval.linking.audit import link_findings
from rag_adapt.retrieval.linking.follow import Following, mixed, shuffled
from rag_adapt.retrieval.linking.registry import FINDERS, link_kinds
from rag_adapt.retrieval.linking.store import all_links, linked, linked_in, said_of
from rag_adapt.retrieval.linking.units import Link, LinkKind
from rag_adapt.retrieval.options import SearchOptions
from rag_adapt.retrieval.protocols import SearchMode
from rag_adapt.retrieval.rebuild import rebuild_collection
from rag_adapt.retrieval.record import Record
from rag_adapt.routes.retrieve import Retrieve
from tests.retrieval.fakes import CountingEmbedder, write_corpus

GARDEN = {
    "soil.md": (
        "# Soil\n\n<<unit: SOIL>> <<level: 3>> Loam is a mixture of sand and clay.\n\n"
        "## Drainage\n\nWater must run off. <<connects_to: ROSE, GONE>>\n\n"
        "## Lime\n\nChalk sweetens it; see [the roses](plants/roses.md#Pruning).\n"
    ),
    "plants/roses.md": (
        "# Roses\n\n<<unit: ROSE>> Graham Thomas flowers in June.\n\n"
        "## Pruning\n\nCut above a bud, as [[Lime]] and soil.md say.\n"
    ),
    "plants/history.txt": "Graham Thomas raised old shrubs at Mottisfont.\n",
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("garden")
    write_corpus(folder / "source", GARDEN)
    build_collection(
        folder / "garden",
        folder / "source",
        CountingEmbedder(),
        chunk_tokens=40,
        links=("given", "headings", "citation", "terms", "meaning"),
    )
    return folder


@pytest.fixture
def garden(corpus: Path, tmp_path: Path) -> Path:
    """A copy that may be changed."""
    shutil.copytree(corpus, tmp_path / "copy")
    return tmp_path / "copy"


def pairs(folder: Path, kind: LinkKind) -> set[tuple[str, str, str]]:
    """First words of the source and of the target, and the relation."""
    record = Record.read(folder)
    texts = {
        row.id: (record.text(row.document) or "")[row.start : row.end].split("\n")[-1].split()[0]
        for row in record.chunks()
    }
    found: set[tuple[str, str, str]] = {
        (texts[link.source], texts[link.target], link.relation)
        for link in all_links(record, (kind,))
    }
    record.close()
    return found


def problems(folder: Path) -> list[tuple[str, str]]:
    record = Record.read(folder)
    try:
        return [(each.subject, each.problem) for each in link_findings(record)]
    finally:
        record.close()


@pytest.mark.parametrize(
    ("kind", "some"),
    [
        pytest.param("given", ("Water", "Graham", "connects_to"), id="given in the text"),
        pytest.param("citation", ("Chalk", "Cut", "connects_to"), id="a Markdown link"),
        pytest.param("citation", ("Cut", "Chalk", "connects_to"), id="a wiki link"),
        pytest.param("citation", ("Cut", "Loam", "connects_to"), id="a file's name"),
        pytest.param("headings", ("Chalk", "Loam", "connects_to"), id="up"),
        pytest.param("terms", ("Graham", "Graham", "same_level_as"), id="a shared name"),
    ],
)
def test_links_are_found(corpus: Path, kind: LinkKind, some: tuple[str, str, str]) -> None:
    assert some in pairs(corpus / "garden", kind)


def test_neither_marks_nor_their_blanks_are_searched_and_spans_are_exact(corpus: Path) -> None:
    with Collection.open(corpus / "garden") as collection:
        assert collection.search("ROSE GONE connects_to unit", 9, "lexical")[0].document != ""
        for hit in collection.search("loam water chalk graham cut", 9, "lexical"):
            assert "<<" not in hit.text
            assert collection.text(hit.document)[hit.start : hit.end] == hit.text


def test_units_have_the_levels_that_they_are_given_or_look_like(corpus: Path) -> None:
    with Collection.open(corpus / "garden") as collection:

        def first(level: int) -> list[str]:
            following = Following(levels=(level,))  # type: ignore[arg-type]
            found = collection.search(
                "loam water chalk graham cut", 9, "lexical", following=following
            )
            return sorted(hit.text.split("\n")[-1].split()[0] for hit in found)

        assert first(3) == ["Loam"]
        assert first(2) == ["Water"]
        assert "Graham" in first(1)


def test_search_follows_links_one_hop_and_says_which(corpus: Path) -> None:
    with Collection.open(corpus / "garden") as collection:
        alone = collection.search("water run off", 9, "lexical")
        assert [hit.text.split("\n")[-1] for hit in alone] == ["Water must run off."]
        found = collection.search(
            "water run off", 9, "lexical", following=Following(kinds=("given",))
        )
    one, other = found
    assert (one.start, one.end) == (alone[0].start, alone[0].end)
    assert not isinstance(one, LinkedPassage)
    assert isinstance(other, LinkedPassage)
    assert (other.via.kind, other.via.relation) == ("given", "connects_to")
    assert other.via.source == Span(document="soil.md", start=one.start, end=one.end)
    assert other.score == pytest.approx(0.3 / 11)


@pytest.mark.parametrize("mode", ["dense", "lexical", "fused"])
def test_a_budget_holds_for_what_links_found_and_nothing_comes_twice(
    corpus: Path, mode: SearchMode
) -> None:
    following = Following(kinds=("given", "headings", "citation", "terms", "meaning"))
    with Collection.open(corpus / "garden", CountingEmbedder()) as collection:
        found = collection.search(
            "graham thomas roses",
            50,
            mode,
            following=following,
            budget_tokens=30,
        )
        places = [(hit.document, hit.start) for hit in found]
        assert len(places) == len(set(places)) > 0
        assert sum(len(hit.text) for hit in found) < 200


def test_the_control_follows_as_many_links_elsewhere(corpus: Path) -> None:
    following = Following(kinds=("given", "terms", "headings"), shuffle=1)
    with Collection.open(corpus / "garden", CountingEmbedder()) as collection:
        once = collection.search("graham thomas", 9, following=following)
        assert once == collection.search("graham thomas", 9, following=following)


def test_shuffled_links_keep_how_many_lead_from_and_to_each_unit() -> None:
    links = [
        Link(source=one, target=(one + step) % 30, kind="terms", relation="connects_to")
        for one in range(30)
        for step in (1, 2, 5)
    ]
    dealt = shuffled(links, 3)
    assert dealt != tuple(links)
    assert [link.source for link in dealt] == [link.source for link in links]
    for end in ("source", "target"):
        assert Counter(getattr(link, end) for link in dealt) == Counter(
            getattr(link, end) for link in links
        )
    assert all(link.source != link.target for link in dealt)
    assert len({(link.source, link.target) for link in dealt}) == len(links)
    assert shuffled(links, 3) == dealt != shuffled(links, 4)


def test_levels_take_turns() -> None:
    assert mixed([2, 2, 1, 2, 1, 4]) == (0, 2, 5, 1, 4, 3)
    assert mixed([]) == ()


def test_a_route_is_told_what_to_follow(corpus: Path) -> None:
    options = SearchOptions(mode="lexical", following=Following(kinds=("given",), levels=(1, 2)))
    assert options.label == "lexical, links given 0.3, levels 1+2"
    with Collection.open(corpus / "garden") as collection:
        retriever = CollectionRetriever(collection, options)
        found = asyncio.run(retriever.search("water run off", 9))
    assert [isinstance(hit, LinkedPassage) for hit in found] == [False, True]


def test_the_trace_says_which_passage_came_by_which_link(corpus: Path) -> None:
    options = SearchOptions(mode="lexical", following=Following(kinds=("given",)))
    with Collection.open(corpus / "garden") as collection:
        step = Retrieve(
            collection="garden@1",
            k=4,
            mode=options.label,
            retriever=CollectionRetriever(collection, options),
        )
        draft = Draft(item_id="i1", input="water run off")
        own, linked = asyncio.run(step.prepare(draft)).event.detail["passages"]
    assert "via" not in own
    assert linked["via"] == {
        "kind": "given",
        "relation": "connects_to",
        "source": {"document": "soil.md", "start": own["start"], "end": own["end"]},
    }


def test_what_was_not_built_cannot_be_followed(corpus: Path, tmp_path: Path) -> None:
    build_collection(tmp_path / "plain", corpus / "source", CountingEmbedder())
    with Collection.open(tmp_path / "plain") as collection:
        with pytest.raises(CollectionError, match="without links of kind 'terms'") as caught:
            collection.search("x", 1, "lexical", following=Following(kinds=("terms",)))
        assert "index build plain DIR --links terms" in caught.value.hint
        with pytest.raises(CollectionError, match="without levels"):
            collection.search("x", 1, "lexical", following=Following(levels=(1,)))
    with pytest.raises(CollectionError, match=r"cannot lend 0\.0"):
        Following(share=0.0)


def test_links_are_made_anew_without_embedding_and_taken_out_again(garden: Path) -> None:
    folder, model = garden / "garden", CountingEmbedder()
    before = build_collection(folder, garden / "source", model, chunk_tokens=40)
    assert before.unchanged
    fewer = build_collection(folder, garden / "source", model, chunk_tokens=40, links=("terms",))
    assert (fewer.unchanged, fewer.embedded, model.texts) == (False, 0, [])
    assert fewer.content_hash != before.content_hash
    assert pairs(folder, "given") == set()
    assert pairs(folder, "terms")
    none = build_collection(folder, garden / "source", model, chunk_tokens=40, links=())
    assert pairs(folder, "terms") == set()
    fresh = build_collection(garden / "fresh", garden / "source", model, chunk_tokens=40)
    assert none.content_hash == fresh.content_hash


def test_links_follow_the_folder(garden: Path) -> None:
    folder = garden / "garden"
    write_corpus(garden / "source", {"plants/history.txt": "Old shrubs grew at Mottisfont.\n"})
    (garden / "source" / "plants" / "roses.md").unlink()
    sync_collection(folder, garden / "source", CountingEmbedder())
    record = Record.read(folder)
    counted = linked(record)
    assert sum(counted.levels.values()) == record.count("chunks") == 4
    assert set(counted.kinds) == {"given", "headings", "citation", "terms", "meaning"}
    assert list(said_of(record)) == ["soil.md"]
    record.close()
    assert pairs(folder, "given") == set()


def test_what_is_wrong_with_links_is_found(garden: Path) -> None:
    folder, model = garden / "garden", CountingEmbedder()
    dangling = ("soil.md", "connects_to names 'GONE', which no unit is called")
    assert problems(folder) == [dangling]
    connection = sqlite3.connect(garden / "garden" / "record.db")
    connection.execute("UPDATE links SET target = 99 WHERE kind = 'given'")
    connection.execute("DELETE FROM levels WHERE level = 3")
    connection.commit()
    connection.close()
    assert problems(folder) == [
        ("links", "1 links lead from or to no chunk"),
        ("links", "1 chunks have no level"),
        dangling,
    ]
    assert build_collection(folder, garden / "source", model, chunk_tokens=40).embedded == 0
    assert problems(folder) == [dangling]


def changed(folder: Path, *statements: str) -> None:
    with closing(sqlite3.connect(folder / "record.db")) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def every_link(folder: Path) -> tuple[Link, ...]:
    with closing(Record.read(folder)) as record:
        return all_links(record, link_kinds("all"))


def test_a_rebuild_finds_links_and_levels_anew(garden: Path) -> None:
    folder = garden / "garden"
    before, counted = every_link(folder), linked_in(folder)
    changed(folder, "UPDATE links SET target = target + 1000", "DELETE FROM levels WHERE level = 3")
    assert "rag-adapt index rebuild garden" in check_collection(folder)[0].remedy
    rebuild_collection(folder)
    assert (every_link(folder), linked_in(folder)) == (before, counted)


def test_a_rebuild_that_is_cut_off_leaves_words_vectors_and_links_as_they_were(
    garden: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(units: object) -> Iterator[Link]:
        raise KeyboardInterrupt

    folder = garden / "garden"
    changed(folder, "UPDATE links SET weight = 9", "INSERT INTO embeddings VALUES ('x', 'y', x'')")
    before = every_link(folder)
    monkeypatch.setitem(FINDERS, "terms", killed)
    with pytest.raises(KeyboardInterrupt):
        rebuild_collection(folder)
    assert every_link(folder) == before
    with closing(Record.read(folder)) as record:
        assert record.vectors("x") == {"y": b""}
    monkeypatch.undo()
    rebuild_collection(folder)
    assert every_link(folder) != before


def test_links_by_meaning_wait_for_the_vectors_that_are_missing(garden: Path) -> None:
    folder = garden / "garden"
    before = every_link(folder)
    changed(folder, "DELETE FROM embeddings")
    assert "it has no vector" in rebuild_collection(folder).left[0].problem
    assert every_link(folder) == before


def test_two_units_of_one_name_are_a_fault_and_the_first_counts(tmp_path: Path) -> None:
    source = write_corpus(
        tmp_path / "source",
        {"a.md": "<<unit: A>> One.\n", "b.md": "<<unit: A>> Two. <<connects_to: A>>\n"},
    )
    build_collection(tmp_path / "twice", source, CountingEmbedder(), links=("given",))
    assert pairs(tmp_path / "twice", "given") == {("Two.", "One.", "connects_to")}
    assert problems(tmp_path / "twice") == [("b.md", "its unit 'A' is also one of 'a.md'")]


def test_records_of_older_versions_open_and_can_be_linked(garden: Path) -> None:
    folder, model = garden / "older", CountingEmbedder()
    build_collection(folder, garden / "source", model)
    connection = sqlite3.connect(folder / "record.db")
    for table in ("links", "levels", "remarks"):
        connection.execute(f"DROP TABLE {table}")
    connection.execute("ALTER TABLE files DROP COLUMN remarks")
    connection.execute("UPDATE files SET parser = replace(parser, '-2', '-1')")
    connection.execute("UPDATE meta SET value = '2' WHERE key = 'schema_version'")
    connection.execute("DELETE FROM meta WHERE key = 'links'")
    connection.commit()
    connection.close()
    with Collection.open(folder) as collection:
        assert collection.search("loam", 1, "lexical")
    assert linked_in(folder).kinds == ()
    assert problems(folder) == []
    report = build_collection(folder, garden / "source", model, links=("given",))
    assert report.embedded == 0
    assert pairs(folder, "given")
