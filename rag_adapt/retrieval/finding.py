"""What an audit says of a collection.

It does not know what is looked at.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong with a collection."""

    subject: str
    """What it is about: `record`, a document's path, `chunk 12`, `vectors`, `lexical`, `chroma`
    or `chroma-server`."""
    problem: str
    remedy: str
    """What to do, with the exact command."""
