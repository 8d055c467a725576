"""Who is at the other end: the bearer token of the request's header, and which path its role may take."""

from dataclasses import dataclass
from typing import Final, Protocol

from trio_websocket import WebSocketRequest

from hub.control.tokens import Principal
from hub.wire.messages import DEVICE_PATH, OPERATOR_PATH, SUBPROTOCOL

OPERATOR_ROLES: Final = frozenset({"viewer", "operator", "admin", "enrol"})
RANKS: Final = {"viewer": 1, "operator": 2, "admin": 3}
BODY_HEADERS: Final = frozenset({b"content-length", b"transfer-encoding"})


class Authority(Protocol):
    """Knows tokens."""

    def authenticate(self, token: str) -> Principal | None: ...


@dataclass(frozen=True)
class Refusal:
    """Why a request is not upgraded: an HTTP status and a line for people."""

    status: int
    text: str


def admit(request: WebSocketRequest, authority: Authority, origins: frozenset[str]) -> Principal | Refusal | None:
    """Decide before the upgrade. None: a device that brings its token in ``hello``."""
    headers = dict(request.headers)
    refusal = _refusal(request, headers, origins)
    if refusal is not None:
        return refusal
    token = bearer(headers.get(b"authorization"))
    if token is None:
        if b"authorization" in headers:
            return Refusal(401, "write the header as: Authorization: Bearer TOKEN")
        return None if request.path == DEVICE_PATH else Refusal(401, "send the header Authorization: Bearer TOKEN")
    principal = authority.authenticate(token)
    if principal is None:
        return Refusal(401, "this token is not known here, or was revoked")
    return principal if may_take(principal.role, request.path) else Refusal(403, wrong_path(principal.role))


def _refusal(request: WebSocketRequest, headers: dict[bytes, bytes], origins: frozenset[str]) -> Refusal | None:
    if request.path not in (DEVICE_PATH, OPERATOR_PATH):
        return Refusal(404, f"the hub speaks at {DEVICE_PATH} and {OPERATOR_PATH}")
    if BODY_HEADERS & headers.keys():
        return Refusal(400, "a request to upgrade has no body")
    if SUBPROTOCOL not in request.proposed_subprotocols:
        return Refusal(400, f"offer the subprotocol {SUBPROTOCOL}")
    origin = headers.get(b"origin")
    if origin is not None and origin.decode("latin-1") not in origins:
        return Refusal(403, "pages of this origin may not open a link")
    return None


def bearer(header: bytes | None) -> str | None:
    """The token in an Authorization header, or None."""
    if header is None:
        return None
    scheme, _, token = header.partition(b" ")
    token = token.strip()
    if scheme.lower() != b"bearer" or not token or not token.isascii():
        return None
    return token.decode("ascii")


def may_take(role: str, path: str) -> bool:
    """Whether a role belongs on a path."""
    return role == "device" if path == DEVICE_PATH else role in OPERATOR_ROLES


def wrong_path(role: str) -> str:
    """What to tell somebody with a good token on the wrong path."""
    right = DEVICE_PATH if role == "device" else OPERATOR_PATH
    return f"a token of role {role} belongs at {right}"


def may_call(role: str, least: str) -> bool:
    """Whether a role may do what needs ``least``; enrol may only enrol."""
    if least == "enrol":
        return role in ("enrol", "admin")
    return RANKS.get(role, 0) >= RANKS[least]
