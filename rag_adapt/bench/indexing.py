"""A skill's documents as a collection, built or brought up to date, ready to be asked.

It does not know settings; the embedder and any other retriever are handed in.
"""

from pathlib import Path

from rag_adapt.bench.arms import Search
from rag_adapt.bench.documents import whole
from rag_adapt.bench.figures import CollectionFigures
from rag_adapt.bench.plan import Plan
from rag_adapt.bench.tools import Indexed
from rag_adapt.core.protocols import Progress, Retriever
from rag_adapt.retrieval.build import build_collection
from rag_adapt.retrieval.catalog import skill_collection
from rag_adapt.retrieval.collection import Collection, CollectionRetriever, collection_folder
from rag_adapt.retrieval.options import SearchOptions
from rag_adapt.retrieval.protocols import Embedder
from rag_adapt.skills.skill import Skill


def index_skill(
    skill: Skill,
    plan: Plan,
    *,
    indexes: Path,
    embedder: Embedder,
    options: SearchOptions,
    retriever: Retriever | None,
    progress: Progress,
    remembered: Path | None = None,
) -> Indexed:
    """Build what is new or changed, and hand back how to search it.

    Args:
        skill: It has a corpus.
        plan: Says how to search and how many passages to take.
        indexes: Where collections live.
        embedder: Of chunks and questions.
        options: How the collection is searched.
        retriever: Searches in place of the collection, if given.
        progress: Of indexing.
        remembered: See `build_collection`.

    Raises:
        CollectionError: the corpus holds nothing that can be read.
        LockedError: another process writes there.
    """
    assert skill.corpus is not None  # the benchmark asks only for skills with documents
    name = skill_collection(skill.name)
    folder = collection_folder(indexes, name)
    built = build_collection(
        folder,
        skill.corpus,
        embedder,
        links=options.links,
        remembered=remembered,
        progress=progress,
    )
    collection = Collection.open(folder, embedder)
    identity = f"{name}@{collection.content_hash}"
    search = Search(
        collection=identity,
        mode=plan.search_mode,
        k=plan.top_k,
        retriever=retriever or CollectionRetriever(collection, options),
        documents=whole({name: collection.text(name) for name in collection.documents()}),
    )
    figures = CollectionFigures(
        name=identity,
        documents=built.documents,
        chunks=built.chunks,
        seconds=None if built.unchanged else built.seconds,
        bytes=built.bytes,
    )
    return Indexed(search=search, figures=figures)
