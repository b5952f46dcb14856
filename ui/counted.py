"""What the service has counted since it started, read from its metrics.

It does not know how anything is counted, nor what a page shows of it.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

PREFIX: Final = "rag_adapt_"
LEFT: Final = ("unload", "eviction", "loss")
"""Why an adapter left the engine."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One figure."""

    name: str
    """Without our prefix."""
    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, kw_only=True)
class Route:
    """One route's figures."""

    name: str
    answered: int
    failed: int
    cancelled: int
    tokens_in: int
    tokens_out: int
    seconds: float | None
    """Mean of whole answers; None before the first."""
    first_token: float | None
    """Mean, in seconds."""


@dataclass(frozen=True, kw_only=True)
class Counted:
    """All of it."""

    routes: tuple[Route, ...]
    """In order of name."""
    loads: int
    """Adapters that were made ready to answer."""
    failed_loads: int
    unloads: int
    """Adapters that left the engine."""
    proof_failures: int
    traces_lost: int
    requests: int
    """Of any kind over HTTP."""
    refused: int
    """Of them answered with 4xx: the client's fault."""
    faults: int
    """With 5xx: the service's, or what it waits for."""

    @property
    def answered(self) -> int:
        """By all routes."""
        return sum(one.answered for one in self.routes)

    @property
    def failed(self) -> int:
        """By all routes."""
        return sum(one.failed for one in self.routes)

    @property
    def tokens_in(self) -> int:
        """By all routes."""
        return sum(one.tokens_in for one in self.routes)

    @property
    def tokens_out(self) -> int:
        """By all routes."""
        return sum(one.tokens_out for one in self.routes)


def counted(text: str) -> Counted:
    """The figures of an exposition in Prometheus' text format.

    Raises:
        ValueError: it is none.
    """
    samples = [
        Sample(name=one.name.removeprefix(PREFIX), labels=one.labels, value=one.value)
        for family in text_string_to_metric_families(text)
        for one in family.samples
    ]
    names = sorted({one.labels["route"] for one in samples if "route" in one.labels})
    swaps = "adapter_swaps_total"
    return Counted(
        routes=tuple(_route(name, samples) for name in names),
        loads=_sum(samples, swaps, kind="load", outcome="done"),
        failed_loads=_sum(samples, swaps, kind="load", outcome="failed"),
        unloads=sum(_sum(samples, swaps, kind=kind, outcome="done") for kind in LEFT),
        proof_failures=_sum(samples, "proof_failures_total"),
        traces_lost=_sum(samples, "traces_lost_total"),
        requests=_sum(samples, "http_requests_total"),
        refused=_of_class(samples, "4"),
        faults=_of_class(samples, "5"),
    )


def _route(name: str, samples: Iterable[Sample]) -> Route:
    mine = [one for one in samples if one.labels.get("route") == name]
    return Route(
        name=name,
        answered=_sum(mine, "requests_total", outcome="answered"),
        failed=_sum(mine, "requests_total", outcome="failed"),
        cancelled=_sum(mine, "requests_total", outcome="cancelled"),
        tokens_in=_sum(mine, "tokens_total", direction="in"),
        tokens_out=_sum(mine, "tokens_total", direction="out"),
        seconds=_mean(mine, "latency_seconds"),
        first_token=_mean(mine, "first_token_seconds"),
    )


def _sum(samples: Iterable[Sample], name: str, **labels: str) -> int:
    return round(
        sum(
            one.value
            for one in samples
            if one.name == name and labels.items() <= dict(one.labels).items()
        )
    )


def _of_class(samples: Iterable[Sample], digit: str) -> int:
    wanted = [one for one in samples if one.labels.get("status", "").startswith(digit)]
    return _sum(wanted, "http_requests_total")


def _mean(samples: Iterable[Sample], name: str) -> float | None:
    found: defaultdict[str, float] = defaultdict(float)
    for one in samples:
        found[one.name] += one.value
    count = found[f"{name}_count"]
    return found[f"{name}_sum"] / count if count else None
