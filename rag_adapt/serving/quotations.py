"""Deletes what the service keeps of a collection's text: traces, and passages in conversations.

It does not know what else either says.
"""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from rag_adapt.retrieval.quoting import (
    CITATIONS,
    CITES,
    CONVERSATIONS_QUOTING,
    QUOTES,
    STATE,
    mark_of,
    tables_of,
)
from rag_adapt.retrieval.sqlite import open_writer, overwrite, transaction, translated


@dataclass(frozen=True, kw_only=True)
class Unquoted:
    """What no longer quotes a collection."""

    collection: str
    traces: int
    """That are gone."""
    conversations: int
    """That have lost its passages; questions and answers stay."""


def remove_quoting(home: Path, collection: str) -> Unquoted:
    """Delete every trace that was answered with passages of a collection, and the passages that
    conversations keep beside their answers.

    No byte of them is left in the file; a service that runs goes on.

    Args:
        home: Where `state.db` lies.
        collection: Its name; every state that it was ever in counts.

    Raises:
        LockedError: another process is writing, or still reads what was there.
        CollectionError: the file is damaged.
        StorageError: the file cannot be written.
    """
    path = home / STATE
    traces = conversations = 0
    if path.is_file():
        with translated(path), closing(open_writer(path)) as connection:
            known = tables_of(connection)
            with transaction(connection):
                if "traces" in known:
                    deletion = f"DELETE FROM traces WHERE {QUOTES}"
                    traces = connection.execute(deletion, (mark_of(collection),)).rowcount
                if "generations" in known:
                    counted = connection.execute(CONVERSATIONS_QUOTING, (collection,))
                    conversations = int(counted.fetchone()[0])
                    connection.execute(
                        f"UPDATE generations SET answer = json_set(answer, '{CITATIONS}', "
                        f"json('[]')) WHERE {CITES}",
                        (collection,),
                    )
            overwrite(connection, path)
    return Unquoted(collection=collection, traces=traces, conversations=conversations)
