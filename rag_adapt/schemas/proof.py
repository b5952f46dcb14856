"""The proof of an adapter on the wire: what was compared before it may answer.

It does not know how anything is compared.
"""

from rag_adapt.schemas.wire import Wire


class ProofCheck(Wire):
    """One of the things that must hold before an adapter answers."""

    name: str
    """`hash`, `template`, `canary` (it differs from the base) or `parity` (it is this adapter)."""
    passed: bool
    detail: str
    """What was compared, with both values."""
    figure: float | None
    """Nats per token, for canary and parity; null where the engine left tokens out."""


class AdapterProof(Wire):
    """Whether an adapter was shown to be active, and by which checks."""

    proven: bool
    checks: list[ProofCheck]
    """Empty where the engine gives nothing that could be compared."""
