"""Tokens: only their SHA-256 is kept, with the role and subject they stand for."""

from typing import NamedTuple

from hub.state.database import Database


class TokenRow(NamedTuple):
    """What a token stands for; ``subject`` is the device, or the name given to the token."""

    hash: bytes
    role: str
    subject: str
    created: int


class Tokens:
    """Repository of tokens."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[TokenRow]:
        rows = self._database.query("SELECT hash, role, subject, created FROM tokens")
        return [TokenRow(*row) for row in rows]

    def replace(self, token: TokenRow) -> None:
        """Store it; an earlier token of the same role and subject is gone."""
        self.remove(token.role, token.subject)
        self._database.write("INSERT INTO tokens VALUES (?, ?, ?, ?)", token)

    def remove(self, role: str, subject: str) -> None:
        self._database.write("DELETE FROM tokens WHERE role = ? AND subject = ?", (role, subject))
