"""A device's first word: waits for it, and tells whose it is."""

import trio

from hub.control.tokens import Principal
from hub.edge.auth import Authority
from hub.edge.link import Link
from hub.wire.codec import decode_device
from hub.wire.errors import CloseCode, RemoteProtocolError
from hub.wire.messages import Hello
from hub.wire.session import HubSession


async def read_hello(link: Link, session: HubSession, seconds: float) -> Hello:
    """What the link says first; RemoteProtocolError when it is something else, or does not come."""
    with trio.move_on_after(seconds):
        frame = (await link.receive())[0]
        message = decode_device(frame)
        session.receive(message, len(frame))
        assert isinstance(message, Hello)  # the session lets nothing else pass
        return message
    raise RemoteProtocolError(CloseCode.HELLO_LATE, f"no hello within {seconds:g} s")


def identify(hello: Hello, principal: Principal | None, authority: Authority) -> str:
    """The device's name. ``principal``: whose token the request had, None where hello has to bring it."""
    if principal is None:
        principal = authority.authenticate(hello.token) if hello.token else None
        if principal is None:
            raise RemoteProtocolError(CloseCode.UNAUTHORIZED, "no token that is known here")
        if principal.role != "device":
            raise RemoteProtocolError(CloseCode.FORBIDDEN, f"a token of role {principal.role} is no device's")
    return principal.subject
