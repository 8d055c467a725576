"""Keeps a device linked: dials, talks, and dials again with back-off, until the hub says that it is pointless."""

import logging
from typing import Final

import trio

from devices.conversation import Conversation, Ending
from devices.device import Device
from hub.client import Refused, Target, Unreachable, dial
from hub.ports import Randomness, Streams
from hub.wire.errors import CloseCode
from hub.wire.messages import DEVICE_PATH
from hub.wire.session import Poison

SHORTEST: Final = 0.5  # seconds of the first back-off's upper end
LONGEST: Final = 60.0
HURRIED: Final = 2.0  # seconds: the same while a device that is about to leave still has something to deliver
STABLE: Final = 10.0  # seconds a link must last for the next back-off to begin small again
FLAPPING: Final = 300.0  # seconds of pause after 4003 from a hub that did not say how long

#: Close codes after which dialling again cannot help, and what a person can do.
HOPELESS: Final[dict[int, str]] = {
    CloseCode.UNAUTHORIZED: "the hub does not know its token; remove the token's file to have it enrolled anew",
    CloseCode.FORBIDDEN: "its token is not one for devices; remove the token's file to have it enrolled anew",
    CloseCode.REVOKED: "its token has been revoked; an admin may enroll it again, with --save its token file",
    CloseCode.MODEL_REFUSED: "the hub refuses the model; make model and birth agree",
}
HOPELESS_STATUS: Final[dict[int, CloseCode]] = {401: CloseCode.UNAUTHORIZED, 403: CloseCode.FORBIDDEN}

log = logging.getLogger("telemetrio.devices")


class Stopped(Exception):
    """The hub will not have this device; dialling again cannot help. ``code`` is the close code."""

    def __init__(self, device: str, code: int, reason: str) -> None:
        said = f" ({reason})" if reason else ""
        super().__init__(f"{device}: {HOPELESS[code]}{said}")
        self.device = device
        self.code = code


class Backoff:
    """Full jitter: a time drawn from nothing up to a bound that doubles with every failure."""

    def __init__(self, randomness: Randomness) -> None:
        self._randomness = randomness
        self._bound = SHORTEST
        self._longest = LONGEST

    def reset(self) -> None:
        """A link was stable: begin small again."""
        self._bound = SHORTEST

    def hurry(self) -> None:
        """There is little time left: begin small again and do not grow beyond ``HURRIED``."""
        self._longest = HURRIED
        self.reset()

    def next(self, at_least: float = 0.0) -> float:
        """Seconds to wait now; what the hub asked for comes first, the jitter on top of it."""
        bound, self._bound = self._bound, min(self._longest, 2.0 * self._bound)
        return at_least + self._randomness.uniform(0.0, bound)


class Linkage:
    """What is known over all links of one device: back-off, the last trouble.

    ``doorway`` limits how many devices of a process dial at once: handshakes side by side only make each other late.
    """

    def __init__(
        self,
        device: Device,
        target: Target,
        streams: Streams,
        randomness: Randomness,
        doorway: trio.CapacityLimiter | None = None,
    ) -> None:
        self.trouble: str | None = None  # why the last link ended or did not come about
        self._device = device
        self._target = target
        self._streams = streams
        self._doorway = doorway or trio.CapacityLimiter(1)
        self._backoff = Backoff(randomness)
        self._hurried = trio.Event()
        self._away_until = 0.0  # the hub asked not to be dialled before

    @property
    def name(self) -> str:
        return self._device.name

    @property
    def linked(self) -> bool:
        """Is there a welcomed link now, or has the device said bye?"""
        return self._device.linked

    async def keep(self) -> None:
        """Stay linked until the device has said bye. Raises Stopped when the hub will not have it."""
        while True:
            wait = await self._once()
            if wait is None:
                return
            log.debug("%s: dials again in %.1f s", self._device.name, wait)
            with trio.move_on_after(wait):
                await self._hurried.wait()
                await trio.sleep_until(self._away_until)
                await trio.sleep(self._backoff.next())

    def hurry(self) -> None:
        """The device is about to leave: dial now if it waits, unless the hub asked it to stay away."""
        self._backoff.hurry()
        self._hurried.set()

    async def _once(self) -> float | None:
        """Dial and talk; seconds until the next try, None when the device has left."""
        began = trio.current_time()
        try:
            await self._doorway.acquire_on_behalf_of(self)
            async with dial(self._target, DEVICE_PATH, self._streams) as socket:
                self._doorway.release_on_behalf_of(self)
                self._device.spool.rewind()
                self.trouble = None
                began = trio.current_time()
                ending = await Conversation(self._device, socket).run()
        except Refused as refused:
            self._trouble(refused.text)
            if refused.status in HOPELESS_STATUS:
                raise Stopped(self._device.name, HOPELESS_STATUS[refused.status], f"HTTP {refused.status}") from None
            return self._backoff.next()
        except Unreachable as unreachable:
            self._trouble(unreachable.text)
            return self._backoff.next()
        finally:
            if self in self._doorway.statistics().borrowers:
                self._doorway.release_on_behalf_of(self)
        if ending.code == CloseCode.NORMAL and self._device.leaving:
            self.trouble = None
            return None
        if ending.welcomed and trio.current_time() - began >= STABLE:
            self._backoff.reset()
        return await self._judge(ending)

    async def _judge(self, ending: Ending) -> float:
        """What to do about a link that ended: seconds to wait before the next."""
        self._trouble(f"the link has ended: {ending.code}" + (f" ({ending.reason})" if ending.reason else ""))
        if ending.by_hub and ending.code in HOPELESS:
            raise Stopped(self._device.name, ending.code, ending.reason)
        if ending.by_hub and ending.code == CloseCode.SEQ_CONFLICT:
            await self._device.spool.forget_epoch()
        if ending.by_hub and ending.suspect:
            self._suspect(ending)
        flapping = ending.by_hub and ending.code == CloseCode.FLAPPING
        pause = ending.retry_after or (FLAPPING if flapping else 0.0)
        self._away_until = trio.current_time() + pause
        return self._backoff.next(pause)

    def _suspect(self, ending: Ending) -> None:
        """The hub closed over something that had been sent: the second time over the same, set that aside."""
        spool = self._device.spool
        if spool.epoch is None:
            return
        poison = Poison(spool.suspect)
        if poison.closed(spool.epoch, ending.through, ending.code) and spool.set_aside(ending.through, "poison"):
            log.error("%s: set the batch after %d aside as poison", self._device.name, ending.through)
        spool.suspected(poison.at)

    def _trouble(self, text: str) -> None:
        if text != self.trouble:
            log.info("%s: %s", self._device.name, text)
        self.trouble = text
