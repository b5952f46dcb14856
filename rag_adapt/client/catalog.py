"""What the service is and offers: models, health, readiness, metrics, what the doctor says.

It does not know what a page shows of it.
"""

from rag_adapt.client.connection import Connection, Request, nested
from rag_adapt.schemas.catalog import Health, Model, ModelList, Readiness
from rag_adapt.schemas.system import SystemInfo


class Catalog:
    """`client.catalog`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def models(self) -> list[Model]:
        """Every name that can stand in `model` now.

        Raises:
            ApiError: the service gave no list.
        """
        return self._connection.fetch(ModelList, Request(path="/v1/models")).data

    def model(self, name: str) -> Model:
        """One of them.

        Raises:
            ApiError: `model-not-found`.
        """
        return self._connection.fetch(Model, Request(path=f"/v1/models/{nested(name)}"))

    def health(self) -> Health:
        """That the process lives.

        Raises:
            ApiError: it does not; `unreachable` says which command starts it.
        """
        return self._connection.fetch(Health, Request(path="/healthz"))

    def ready(self) -> Readiness:
        """Which part is not ready, if any; that is an answer and no error.

        Raises:
            ApiError: the service could not be reached.
        """
        return self._connection.fetch(Readiness, Request(path="/readyz", accept=(503,)))

    def metrics(self) -> str:
        """Counters in Prometheus' text format.

        Raises:
            ApiError: the service gave none.
        """
        return self._connection.ask(Request(path="/metrics")).decode("utf-8", "replace")

    def system(self) -> SystemInfo:
        """What `rag-adapt doctor` says of that machine, versions, the engine, the time it runs.

        Raises:
            ApiError: this key may not read it.
        """
        return self._connection.fetch(SystemInfo, Request(path="/v1/system", patience="work"))
