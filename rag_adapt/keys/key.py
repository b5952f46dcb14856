"""What an API key is: a name, a scope, and a secret that is shown once.

It does not know where keys are kept.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from typing import Final, Literal, Self, get_args

from rag_adapt.core.errors import UserError

Scope = Literal["chat", "bench", "admin"]
"""What a key is for; each includes the ones before it."""
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
PREFIX: Final = "ra"
TOKEN: Final = re.compile(r"ra_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,47}")
SALT_BYTES: Final = 16
SECRET_BYTES: Final = 32
SCRYPT_COST: Final = 2**12
"""About 10 ms and 4 MiB per guess; the secret has 256 bits anyway."""


class KeysError(UserError):
    """An API key cannot be made or found."""

    code = "keys"


@dataclass(frozen=True, kw_only=True)
class Key:
    """A key as it may be listed: nothing in it opens a door."""

    id: str
    """12 hexadecimal digits; stands in the token, finds the row."""
    name: str
    scope: Scope
    created: float
    """Seconds since the epoch."""
    revoked: float | None = None
    """Seconds since the epoch; None while it works."""

    def allows(self, scope: Scope) -> bool:
        """Whether the key's scope includes this one."""
        return SCOPES.index(self.scope) >= SCOPES.index(scope)


@dataclass(frozen=True, kw_only=True)
class Token:
    """What a client sends: `ra_<id>_<secret>`."""

    id: str
    secret: str = field(repr=False)
    """43 URL-safe characters."""

    @classmethod
    def fresh(cls) -> Self:
        """A new one from the system's randomness."""
        return cls(id=secrets.token_hex(6), secret=secrets.token_urlsafe(SECRET_BYTES))

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The token that a client sent; None for anything else."""
        found = TOKEN.fullmatch(text)
        return cls(id=found[1], secret=found[2]) if found else None

    def reveal(self) -> str:
        """The text to hand over, once."""
        return f"{PREFIX}_{self.id}_{self.secret}"

    def digest(self, salt: bytes) -> bytes:
        """32 bytes to keep instead of the secret (scrypt, RFC 7914)."""
        return hashlib.scrypt(self.secret.encode(), salt=salt, n=SCRYPT_COST, r=8, p=1, dklen=32)

    def matches(self, *, salt: bytes, digest: bytes) -> bool:
        """Whether the kept digest is this token's, in a time that does not tell where it differs.

        Takes about 10 ms.
        """
        return hmac.compare_digest(self.digest(salt), digest)


@dataclass(frozen=True, kw_only=True)
class NewKey:
    """A key and, this one time, its token."""

    key: Key
    token: Token


def fresh_salt() -> bytes:
    """16 random bytes."""
    return secrets.token_bytes(SALT_BYTES)


def scope_named(text: str) -> Scope:
    """The scope of this name.

    Raises:
        KeysError: there is none.
    """
    for scope in SCOPES:
        if scope == text:
            return scope
    raise KeysError(f"no scope {text!r}", hint=f"Choose one of --scope {' | '.join(SCOPES)}.")


def checked_name(text: str) -> str:
    """The name, if it is one.

    Raises:
        KeysError: it has other characters than a-z, 0-9 and "-", or more than 48.
    """
    if NAME.fullmatch(text) is None:
        raise KeysError(
            f"{text[:60]!r} is no name for a key",
            hint="Use up to 48 of a-z, 0-9 and '-', beginning with a letter or digit: "
            "`rag-adapt keys create laptop --scope chat`.",
        )
    return text
