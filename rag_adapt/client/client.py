"""The client: everything that can be asked of a service, by subject.

It does not know HTTP.
"""

import ssl
from types import TracebackType
from typing import Final, Self

import httpx

from rag_adapt.client.adapters import Adapters
from rag_adapt.client.answers import Answers
from rag_adapt.client.catalog import Catalog
from rag_adapt.client.collections import Collections
from rag_adapt.client.connection import Connection, Retries, Timeouts
from rag_adapt.client.conversations import Conversations
from rag_adapt.client.feedback import Feedback
from rag_adapt.client.jobs import Jobs
from rag_adapt.client.runs import Runs
from rag_adapt.client.skills import Skills

HERE: Final = "http://127.0.0.1:8000"
"""Where `rag-adapt serve` listens unless it is told otherwise."""


class Client:
    """A service, as typed calls. Threads may share one.

    Every call raises `ApiError` where there is no answer, and nothing else: its `fact` and `hint`
    can be shown to a user as they are.

    Args:
        base_url: Address of the service.
        key: API key, for a service that asks for one.
        timeouts: Bounds of waiting.
        retries: When requests are repeated.
        tls: Which certificates are trusted; the public authorities' by default.
        transport: What carries requests instead of the network, for tests.

    Raises:
        SettingsError: the address or the key is none.
    """

    def __init__(
        self,
        base_url: str = HERE,
        *,
        key: str | None = None,
        timeouts: Timeouts | None = None,
        retries: Retries | None = None,
        tls: ssl.SSLContext | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        connection = Connection(
            base_url, key=key, timeouts=timeouts, retries=retries, tls=tls, transport=transport
        )
        self._connection = connection
        self.catalog: Final = Catalog(connection)
        """Models, health, readiness, metrics, what the doctor says."""
        self.answers: Final = Answers(connection)
        """Chat, completions, traces."""
        self.conversations: Final = Conversations(connection)
        """Questions and answers that stay on the server."""
        self.skills: Final = Skills(connection)
        """Tasks and their templates."""
        self.collections: Final = Collections(connection)
        """Documents."""
        self.adapters: Final = Adapters(connection)
        """Trained weights."""
        self.feedback: Final = Feedback(connection)
        """Votes and better answers."""
        self.runs: Final = Runs(connection)
        """Benchmarks."""
        self.jobs: Final = Jobs(connection)
        """Long work."""

    @property
    def base_url(self) -> str:
        """Address of the service, without `/v1`."""
        return self._connection.base_url

    def close(self) -> None:
        """End its connections; streams that are open are closed by themselves."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self.base_url!r})"
