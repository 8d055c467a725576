"""Operator client and the one dialler: everything that reaches a hub from outside does it through this room."""

from hub.client.dial import Target, dial
from hub.client.errors import ClientError, ContextError, DialError, HubFailure, Refused, SocketClosed, Unreachable
from hub.client.socket import Socket

__all__ = [
    "ClientError", "ContextError", "DialError", "HubFailure", "Refused", "Socket", "SocketClosed", "Target",
    "Unreachable", "dial",
]  # fmt: skip
