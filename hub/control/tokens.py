"""Tokens in memory: who somebody is, told by the hash of what they carry."""

from base64 import urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from typing import Final

from hub.ports import Randomness
from hub.state import TokenRow

ROLES: Final = ("device", "enrol", "viewer", "operator", "admin")
TOKEN_BYTES: Final = 32  # 256 bits: nobody guesses it, so a plain hash is enough to keep
TOKEN_LENGTH: Final = 256  # characters that are looked at: longer ones are none of ours
PREFIX: Final = "tlm_"  # so that a scanner for leaked secrets knows one when it sees it


@dataclass(frozen=True, slots=True)
class Principal:
    """Whose token it was: ``subject`` is the device's name, or the name given to the token."""

    role: str
    subject: str


class TokenBook:
    """Mirror of the stored tokens: one per role and subject."""

    def __init__(self) -> None:
        self._by_hash: dict[bytes, TokenRow] = {}
        self._by_owner: dict[tuple[str, str], TokenRow] = {}

    def load(self, rows: Iterable[TokenRow]) -> None:
        self._by_hash.clear()
        self._by_owner.clear()
        for row in rows:
            self.put(row)

    def put(self, row: TokenRow) -> None:
        """From now on this is the token of its role and subject."""
        self.forget(row.role, row.subject)
        self._by_hash[row.hash] = row
        self._by_owner[row.role, row.subject] = row

    def forget(self, role: str, subject: str) -> None:
        """From now on there is none."""
        row = self._by_owner.pop((role, subject), None)
        if row is not None:
            del self._by_hash[row.hash]

    def authenticate(self, token: str) -> Principal | None:
        """Whose token this is; ``None`` when it is nobody's."""
        if not token or len(token) > TOKEN_LENGTH:
            return None
        digest = _hash(token)
        found = self._by_hash.get(digest)
        if found is None or not compare_digest(found.hash, digest):
            return None
        return Principal(found.role, found.subject)


def make_token(randomness: Randomness, role: str, subject: str, now: int) -> tuple[str, TokenRow]:
    """A new token, told once, and what is kept of it."""
    token = PREFIX + urlsafe_b64encode(randomness.token(TOKEN_BYTES)).rstrip(b"=").decode()
    return token, TokenRow(_hash(token), role, subject, now)


def _hash(token: str) -> bytes:
    return sha256(token.encode("utf-8", "replace")).digest()
