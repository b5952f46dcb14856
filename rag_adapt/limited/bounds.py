"""What a parser in a process of its own may use up, and what it means when it did.

It does not know processes or what is parsed.
"""

from dataclasses import dataclass

from rag_adapt.core.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """The limits of one call."""

    seconds: float = 60.0
    """From its start to its answer."""
    cpu_seconds: int = 30
    """Of computing."""
    memory_bytes: int = 1 << 30
    """Of address space; Python itself takes some 50 MB of it."""
    file_bytes: int = 1 << 30
    """Of any one file that it writes."""
    open_files: int = 64
    result_bytes: int = 1 << 20
    """Of its answer as JSON."""


class ParserError(UserError):
    """A file could not be read within the limits, or whatever read it broke on it."""

    code = "parser"
    status = 422


class ParsersBusyError(UserError):
    """As many files are being read as may be at once."""

    code = "parsers-busy"
    status = 503
    retryable = True
