"""Operator client and the one dialler: everything that reaches a hub from outside does it through this room."""

from hub.client.dial import Target, dial
from hub.client.errors import ClientError, ContextError, DialError, HubFailure, Refused, SocketClosed, Unreachable
from hub.client.files import Context, Flags, find_context
from hub.client.shell import Operator, Subscription, connect
from hub.client.socket import Socket
from hub.client.text import safe_json, safe_text, safe_value

__all__ = [
    "ClientError", "Context", "ContextError", "DialError", "Flags", "HubFailure", "Operator", "Refused", "Socket",
    "SocketClosed", "Subscription", "Target", "Unreachable", "connect", "dial", "find_context", "safe_json",
    "safe_text", "safe_value",
]  # fmt: skip
