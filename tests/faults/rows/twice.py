"""F17: two links of one device. The newest wins, whatever the one before it still says."""

import random

import trio

from hub.client.errors import SocketClosed
from hub.wire.errors import CloseCode
from tests.faults.ground import PATIENCE_SECONDS, Ground, Streamer, on_the_network, spread, until
from tests.faults.lab import Failed, Figures, Row

CLONES = 6  # devices that log in again while their link is in the midst of sending
LOGINS = 12  # of each: 15 a minute are allowed
SAMPLES = 20  # that each link has to send, of two rows each
PAUSE_SECONDS = 0.0005  # between two rows
LATEST_SECONDS = 0.03  # after a login comes the next
GHOSTS = 8  # devices whose link breaks on their side only, with bytes still on the way to the hub
BREAKS = 6  # of each
HELD_SECONDS = 0.3  # for some samples to get stuck
RACE_SECONDS = 0.06  # after the break they come to the hub: about when the device does


class Logins:
    """The links of one device that logs in again and again."""

    def __init__(self, ground: Ground, streamer: Streamer) -> None:
        self.took: list[float] = []  # seconds from a hello to the end of the link before
        self.codes: list[int] = []
        self._ground, self._streamer = ground, streamer
        self._said: list[float] = []

    async def link(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Log in, send what is there without haste, and hear acks, until the hub closes; started when welcomed."""
        ground, streamer, number = self._ground, self._streamer, len(self._said)
        spool = streamer.device.spool
        try:
            async with ground.raw(streamer) as raw:
                self._said.append(trio.current_time())
                await ground.hello(raw, streamer)
                frames = []
                while (held := spool.peek()) is not None:
                    spool.passed()
                    frames.append(held.frame or b"")
                task_status.started()
                for frame in frames:
                    await raw.say(frame)
                    await trio.sleep(PAUSE_SECONDS)
                while True:
                    await ground.hear_ack(raw, streamer)
        except SocketClosed as closed:
            self.codes.append(closed.code)
            self.took.append(trio.current_time() - self._said[number + 1])


async def logged_in_twice(ground: Ground) -> Figures:
    """Second logins, and late bytes of links whose device has gone on."""
    chance = random.Random(ground.lab.seed)
    took: list[float] = []
    late: list[int] = []
    async with trio.open_nursery() as nursery:
        for name in ground.tokens:
            disturb = _log_in_again if name.startswith("clone") else _leave_bytes_behind
            nursery.start_soon(disturb, ground, name, random.Random(chance.random()), took, late)
    if not any(late):
        raise Failed("no byte came late")
    figures = {"takeovers": len(took) + GHOSTS * BREAKS, "late_bytes": sum(late)}
    return figures | spread("takeover_ms", [1e3 * seconds for seconds in took], 1)


async def _log_in_again(ground: Ground, name: str, chance: random.Random, took: list[float], late: list[int]) -> None:
    streamer = await ground.streamer(name)
    logins = Logins(ground, streamer)
    spool = streamer.device.spool
    async with trio.open_nursery() as nursery:
        for _ in range(LOGINS):
            await ground.backlog(streamer, SAMPLES)
            await nursery.start(logins.link)
            await trio.sleep(chance.uniform(0.0, LATEST_SECONDS))
        with trio.move_on_after(PATIENCE_SECONDS):
            await until(lambda: spool.first == spool.next and len(logins.codes) == LOGINS - 1, 2 * PATIENCE_SECONDS)
        nursery.cancel_scope.cancel()
    if len(logins.codes) != LOGINS - 1 or spool.first != spool.next:
        raise Failed(f"{name}: {LOGINS - 1 - len(logins.codes)} older links stay, {spool.next - spool.first} not acked")
    if set(logins.codes) != {CloseCode.TAKEN_OVER}:
        raise Failed(f"{name}: older links were closed with {logins.codes}")
    took += logins.took


async def _leave_bytes_behind(
    ground: Ground, name: str, chance: random.Random, took: list[float], late: list[int]
) -> None:
    (streamer,) = await ground.streaming([name])
    for _ in range(BREAKS):
        old, links = streamer.connection, len(streamer.opened)
        old.hold()
        before = old.up.passed
        await trio.sleep(HELD_SECONDS)
        await old.lose_device()
        if chance.random() < 0.5:
            await until(lambda links=links: len(streamer.opened) > links and streamer.device.linked)  # type: ignore[misc]
        else:
            await trio.sleep(chance.uniform(0.0, RACE_SECONDS))
        old.release()
        await ground.progress([streamer])
        late.append(old.up.passed - before)
    await streamer.finish()


ROWS = [
    Row(
        "F17 two links of one device",
        on_the_network(
            [f"clone-{number}" for number in range(CLONES)] + [f"ghost-{number}" for number in range(GHOSTS)],
            logged_in_twice,
        ),
        seconds=10.0,
    ),
]
