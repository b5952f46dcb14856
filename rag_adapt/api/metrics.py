"""What the service counts, for Prometheus: requests, answers, tokens, times, swaps, proofs.

It does not know who counts, nor where the text goes. Names that come from outside become a label
only where they are known; everything else is `other`, so that no client can fill the memory.
"""

from collections.abc import Callable
from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.responses import Response

from rag_adapt.core.types import Times, Usage
from rag_adapt.engines.lifecycle import Swap

Outcome = Literal["answered", "failed", "cancelled"]
OTHER: Final = "other"
NONE: Final = "none"
MOST_NAMES: Final = 200
"""Different routes, or adapters, that get a label of their own in the life of a process."""
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
LATENCY: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
"""Upper bounds in seconds."""
FIRST_TOKEN: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Names:
    """Turns names into labels: known ones as they are, at most 200 of them; others are `other`.

    Args:
        known: Says whether a name is one of ours.
        most: Different labels that are handed out.
    """

    def __init__(self, known: Callable[[str], bool], *, most: int = MOST_NAMES) -> None:
        self._known, self._most = known, most
        self._given: set[str] = set()

    def label(self, name: str | None) -> str:
        """The label; `none` for None."""
        if name is None:
            return NONE
        if name in self._given:
            return name
        if len(self._given) >= self._most or not self._known(name):
            return OTHER
        self._given.add(name)
        return name


class Metrics:
    """The counters of one service, in a registry of their own.

    Args:
        known_route: Whether a model name (`route:prompt/orders`, or the engine's model) exists.
        known_adapter: Whether an adapter version (`orders@1f3a9c2e7b04`) exists.
    """

    def __init__(
        self,
        *,
        known_route: Callable[[str], bool],
        known_adapter: Callable[[str], bool],
    ) -> None:
        self.registry = CollectorRegistry()
        self._routes, self._adapters = Names(known_route), Names(known_adapter)
        http, answer = ("path", "method"), ("route", "adapter")
        swap = ("adapter", "kind", "outcome")
        self._http = self._counter("http_requests", "HTTP requests.", *http, "status")
        self._http_seconds = self._histogram(
            "http_request_seconds", "Time until a response was complete.", LATENCY, *http
        )
        self._answers = self._counter("requests", "Answers asked for.", *answer, "outcome")
        self._tokens = self._counter("tokens", "Tokens read and written.", *answer, "direction")
        self._latency = self._histogram(
            "latency_seconds", "Time until an answer was complete.", LATENCY, *answer
        )
        self._first = self._histogram(
            "first_token_seconds", "Time until an answer's first token.", FIRST_TOKEN, *answer
        )
        self._swaps = self._counter(
            "adapter_swaps", "Adapters that came and went, or could not.", *swap
        )
        self._proof_failures = self._counter(
            "proof_failures", "Adapters that were not shown to be active.", "adapter"
        )
        self._traces_lost = self._counter("traces_lost", "Answers whose trace was not kept.")

    def request(self, *, path: str, method: str, status: int, seconds: float) -> None:
        """One HTTP request was answered; `path` is the route's template, never the URL's."""
        method = method if method in METHODS else OTHER
        self._http.labels(path, method, str(status)).inc()
        self._http_seconds.labels(path, method).observe(seconds)

    def answer(
        self,
        *,
        route: str,
        adapter: str | None,
        outcome: Outcome,
        usage: Usage | None = None,
        times: Times | None = None,
    ) -> None:
        """One answer ended.

        Args:
            route: The model name that was asked for.
            adapter: The adapter's version; None without one.
            outcome: How it ended; a failure is not an answer.
            usage: Tokens, where they are known.
            times: Seconds, where they are known; those of answers that were not finished, or came
                from a cache, are left out.
        """
        labels = self._routes.label(route), self._adapters.label(adapter)
        self._answers.labels(*labels, outcome).inc()
        if usage is not None:
            self._tokens.labels(*labels, "in").inc(usage.tokens_in)
            self._tokens.labels(*labels, "out").inc(usage.tokens_out)
        if times is not None and outcome == "answered" and not times.cached:
            self._latency.labels(*labels).observe(times.total)
            self._first.labels(*labels).observe(times.first_token)

    def swap(self, *, adapter: str, kind: Swap, succeeded: bool) -> None:
        """An adapter came or went, or could not."""
        outcome = "done" if succeeded else "failed"
        self._swaps.labels(self._adapters.label(adapter), kind, outcome).inc()

    def proof_failed(self, *, adapter: str) -> None:
        """An adapter was not shown to be active."""
        self._proof_failures.labels(self._adapters.label(adapter)).inc()

    def trace_lost(self) -> None:
        """An answer went out whose trace could not be kept."""
        self._traces_lost.inc()

    def exposition(self) -> Response:
        """The body of `GET /metrics`."""
        return Response(generate_latest(self.registry), media_type=CONTENT_TYPE_LATEST)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"rag_adapt_{name}", text, labels, registry=self.registry)

    def _histogram(
        self, name: str, text: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        return Histogram(f"rag_adapt_{name}", text, labels, registry=self.registry, buckets=buckets)
