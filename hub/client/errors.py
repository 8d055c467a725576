"""What can keep an operator or a device from the hub, in words that say what to check.

ClientError
├── DialError           no link came about
│   ├── Unreachable     nobody there who speaks our language
│   └── Refused         somebody answered, and said no
├── SocketClosed        the link has ended
├── HubFailure          the hub answered that it could not do it
└── ContextError        which hub, and as whom, cannot be told
"""


class ClientError(Exception):
    """Root of all that the client room raises for others to catch."""


class DialError(ClientError):
    """No link came about. The text names the host and says what to check."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class Unreachable(DialError):
    """Nobody is there who speaks our language: wrong address, hub down, proxy, certificate, not a hub."""


class Refused(DialError):
    """The other end answered the request for a link with HTTP ``status`` (401 and 403: the token)."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class SocketClosed(ClientError):
    """The link has ended with ``code`` (1006: lost without a word) and the peer's ``reason``."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"the link has ended: {code}" + (f" ({reason})" if reason else ""))
        self.code = code
        self.reason = reason


class HubFailure(ClientError):
    """The hub could not do what was asked. ``code`` is one of FAILURES in ``operator.py``."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class ContextError(ClientError):
    """Which hub to talk to, and with which token, cannot be told; the text says where to write it."""
