"""What can be wrong on a link, and whose fault it is.

WireError
├── LocalProtocolError    we were about to say something illegal: a bug on this side
└── RemoteProtocolError   the peer said something illegal: carries the close code to answer with
"""

from enum import IntEnum


class CloseCode(IntEnum):
    """Every code a link of Telemetrio is closed with; below 4000 as registered by IANA."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL = 1002
    TEXT = 1003
    GARBLED = 1007
    POLICY = 1008
    TOO_BIG = 1009
    INTERNAL = 1011
    DRAIN = 1012
    OVERLOAD = 1013
    UNAUTHORIZED = 3000
    FORBIDDEN = 3003
    IDLE = 3008
    TAKEN_OVER = 4001
    REVOKED = 4002
    FLAPPING = 4003
    MODEL_REFUSED = 4004
    HELLO_LATE = 4008
    SEQ_JUMP = 4009
    SEQ_CONFLICT = 4010


class WireError(Exception):
    """Root of all that can be wrong with what is said on a link."""


class LocalProtocolError(WireError):
    """This side was about to say something illegal; nothing has changed and nothing was sent."""


class RemoteProtocolError(WireError):
    """The peer said something illegal; nothing has changed. Answer by closing with ``code``."""

    def __init__(self, code: CloseCode, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
