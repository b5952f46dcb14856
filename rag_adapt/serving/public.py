"""What of an error a stranger may read: no path of this machine, no command for its operator.

It does not know where it is shown.
"""

import os
from dataclasses import dataclass

from rag_adapt.core.errors import CollectionError, LockedError, RagAdaptError, StorageError

SEE_LOG = "The server's log names the file; its operator can mend it."


@dataclass(frozen=True, kw_only=True)
class Told:
    """An error in words for everybody."""

    fact: str
    hint: str


def told(error: RagAdaptError) -> Told:
    """The error's own words; others where they would name files of this machine."""
    if not names_files(error.fact + error.hint):
        return Told(fact=error.fact, hint=error.hint)
    if isinstance(error, StorageError):
        return Told(fact="the server cannot read or write one of its files", hint=SEE_LOG)
    if isinstance(error, LockedError):
        return Told(
            fact="another process is writing there at the moment", hint="Send it again in a moment."
        )
    if type(error) is CollectionError:  # those below it are about what a client named
        return Told(fact="one of the server's collections or files is damaged", hint=SEE_LOG)
    return Told(fact=error.fact, hint=error.hint)


def names_files(text: str) -> bool:
    """Whether a path may stand in it."""
    return "/" in text or os.sep in text


def told_of_model(error: RagAdaptError) -> str:
    """Why the model is not there: readiness is open to everybody."""
    fact = told(error).fact
    return "the model cannot be loaded; the server's log says why" if names_files(fact) else fact
