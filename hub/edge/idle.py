"""Notices peers that fell silent: one task for all links, as ten thousand timers cost more than one look a second."""

from collections.abc import Callable
from contextlib import suppress
from typing import Final

import trio

from hub.edge.link import ABNORMAL, Link, LinkClosed
from hub.edge.listener import Ending
from hub.wire.errors import CloseCode

LOOK_SECONDS: Final = 1.0  # how late a silence may be noticed
FRAGMENT_SECONDS: Final = 10.0  # a message in pieces must be whole by then
PINGS: Final = 2  # unanswered ones before the peer is gone, and half a silence more

End = Callable[[Ending], None]


class Watch:
    """Pings silent links, and ends those that stay silent, or take nothing of what is sent to them."""

    def __init__(self, silence: float, send: float) -> None:
        self._silence = silence
        self._send = send
        self._links: dict[Link, tuple[End, int]] = {}

    def __len__(self) -> int:
        return len(self._links)

    def add(self, link: Link, end: End) -> None:
        """Watch it; ``end`` is called at most once."""
        self._links[link] = (end, 0)

    def remove(self, link: Link) -> None:
        self._links.pop(link, None)

    async def run(self) -> None:
        """Look at all links, once a second, until cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                await trio.sleep(LOOK_SECONDS)
                now = trio.current_time()
                for link, (end, asked) in list(self._links.items()):
                    self._look(link, end, asked, now, nursery)

    def _look(self, link: Link, end: End, asked: int, now: float, nursery: trio.Nursery) -> None:
        silent = now - link.heard
        sending = link.sending_since
        if sending is not None and now - sending > self._send:
            self.remove(link)
            end(Ending(ABNORMAL, f"the peer has taken nothing for {self._send:g} s", say=False))
            return
        since = link.fragmented_since
        if since is not None and now - since > FRAGMENT_SECONDS:
            self.remove(link)
            end(Ending(CloseCode.POLICY, f"a message in pieces took more than {FRAGMENT_SECONDS:g} s"))
        elif silent >= self._silence * (PINGS + 0.5):
            self.remove(link)
            end(Ending(CloseCode.IDLE, f"nothing heard for {silent:.0f} s"))
        elif asked < PINGS and silent >= self._silence * (asked + 1):
            self._links[link] = (end, asked + 1)
            nursery.start_soon(_ping, link)
        elif asked and silent < self._silence:
            self._links[link] = (end, 0)


async def _ping(link: Link) -> None:
    with suppress(LinkClosed):  # the conversation notices by itself
        await link.ping()
