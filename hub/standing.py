"""How the hub stands as a whole: what is wrong with it, how far its followers have come, and a store made again."""

from collections.abc import Callable, Sequence
from typing import Final

import trio

from hub.control.errors import ControlRefused
from hub.control.router import Router
from hub.doors import StoreDoor
from hub.followers.loop import Followers
from hub.followers.store import MirrorFollower
from hub.ingest.ingest import FOR_EVER, Ingest
from hub.ingest.trust import BUILT, DAY
from hub.journal import Journal
from hub.ports import Clock
from hub.state import StateError
from hub.upkeep.copies import Copies
from hub.upkeep.damage import DamageWatch
from hub.upkeep.keeper import Keeper
from hub.upkeep.mend import Mender
from hub.upkeep.only_copy import LossRefused
from hub.wire.shapes import FollowerStatus, StoreRebuild

BOOKED_SECONDS: Final = 20.0  # for the account to book what an operator changes in quarantine: a second at most
NAMED: Final = 5  # devices, of which there may be thousands
STORED_SECONDS: Final = 5.0  # for the store, which may be down: then the answer does not wait for it


class Standing:
    """The edge asks it. Followers, mender and keeper are made after the edge, and come in then."""

    copies: Copies
    damage: DamageWatch
    followers: Followers
    keeper: Keeper
    mender: Mender | None = None  # of a store that has a file
    mirrors: Sequence[MirrorFollower] = ()

    def __init__(
        self,
        journal: Journal,
        ingest: Ingest,
        router: Router,
        store: StoreDoor,
        clock: Clock,
        strangers: Callable[[], Sequence[str]],
    ) -> None:
        """``strangers``: devices that have readings here, and the registry does not know."""
        self._strangers = strangers
        self._journal = journal
        self._ingest = ingest
        self._clock = clock
        self._router = router
        self._store = store

    def status(self) -> list[FollowerStatus]:
        """Every follower."""
        return self.followers.status()

    def problems(self) -> list[str]:
        """What is wrong now, a line each; none: the hub is ready."""
        rebuilding = self._store.rebuilding
        wrong = [] if rebuilding is None else [rebuilding]
        wrong += [f"follower {f['name']} is {f['lag']} records behind: {f['error']}" for f in self.followers.status()
                  if not f["healthy"]]  # fmt: skip
        if self._router.problem is not None:
            wrong.append(f"commands cannot change state: {self._router.problem}")
        if self._journal.stalled:
            wrong.append("the disk of the journal is full: nothing is acked until there is space")
        if self.keeper.problem is not None:
            wrong.append(self.keeper.problem)
        return wrong

    def cautions(self) -> list[str]:
        """What somebody should look at, though all goes on."""
        copying = [] if self.copies.problem is None else [self.copies.problem]
        mirrors = [caution for mirror in self.mirrors for caution in _of_mirror(mirror)]
        return [*self.damage.cautions(), *self._of_the_clock(), *copying, *self._of_strangers(), *mirrors]

    def _of_strangers(self) -> list[str]:
        """An older state file was put back: whoever came later has no token in it."""
        unknown = self._strangers()
        if not unknown:
            return []
        names = ", ".join(unknown[:NAMED]) + (f" and {len(unknown) - NAMED} more" if len(unknown) > NAMED else "")
        return [
            f"the state file is older than some devices: {names} cannot come in. Let each in again with 'telemetrio "
            "devices enroll'; it goes on where it was"
        ]

    def _of_the_clock(self) -> list[str]:
        now = self._clock.now()
        trust = self._ingest.trust
        if (ahead := trust.ahead(now)) and self._ingest.kept_for != FOR_EVER:
            return [
                f"the hub's clock is {ahead / DAY:.0f} days ahead of its newest record, so nothing expires by it. Set "
                "it; if it is right (the hub was off for so long), 'telemetrio hub trust-clock' says so"
            ]
        behind = trust.behind(now)
        if not behind:
            return []
        if now < BUILT:
            return ["the hub's clock was never set: set it; until then no time is rejected"]
        return [
            f"the hub's clock is {behind / 1e6:.0f} s behind its newest record, so it is not trusted: no time is "
            "rejected until it has passed that. Set it; if it is right, 'telemetrio hub trust-clock' says so"
        ]

    async def rebuild(self, accept_loss: bool) -> StoreRebuild | None:
        """Have the store made again; None where there is nothing to rebuild. ControlRefused when readings would be lost
        that it alone has, unless that is accepted."""
        if self.mender is None:
            return None
        try:
            through, alone = await self.mender.renew(accept_loss=accept_loss)
        except LossRefused as refused:
            raise ControlRefused("conflict", str(refused)) from None
        return StoreRebuild(through=through, only_copy=alone.plain())

    async def booked(self, lsn: int) -> None:
        """Until the account has taken in everything up to ``lsn``, and the store, if it is up; StateError when the
        account has not."""
        await self._journal.wait_durable(lsn)
        with trio.move_on_after(BOOKED_SECONDS) as scope:
            await self.followers.reached(lsn, ("account",))
        if scope.cancelled_caught:
            problems = " ".join(self.problems())
            raise StateError(f"the account is behind; what was recorded is booked later: {problems}")
        with trio.move_on_after(STORED_SECONDS):
            await self.followers.reached(lsn, (self._store.name,))


def _of_mirror(mirror: MirrorFollower) -> list[str]:
    """What it does not have of what it was sent since the hub's start."""
    told = mirror.statistics()
    refused, collisions = told["refused"], told["collisions"]
    cautions = []
    if refused:
        cautions.append(f"the mirror {mirror.name} refused {refused} lines, the last one with: {told['refusal']}")
    if collisions:
        text = (
            f"{collisions} lines for the mirror {mirror.name} had series and time of others, and overwrote them there"
        )
        cautions.append(text)
    return cautions
