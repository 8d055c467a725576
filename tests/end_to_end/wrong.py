"""What the tests of wrong input share: a hub that takes it all, and what a command that fails must look like."""

import subprocess
from dataclasses import dataclass
from itertools import count
from typing import Any

import trio

from hub.cli.exits import Exit
from hub.client.dial import Target
from hub.client.shell import connect
from tests.end_to_end.processes import HubProcess

NAMES = (f"bench-{number}" for number in count(1))


@dataclass
class Place:
    """The hub of this module, and who may talk to it."""

    hub: HubProcess
    viewer: str

    @property
    def target(self) -> Target:
        return Target(self.hub.url, self.hub.token(), self.hub.folder / "ca.pem", proxy="")

    async def enrolled(self) -> tuple[str, str]:
        """A new device: name and token."""
        name = next(NAMES)
        async with connect(self.target) as operator:
            return name, (await operator.call("devices.enroll", device=name))["token"]

    async def run(self, *words: str, **more: Any) -> "subprocess.CompletedProcess[str]":
        return await trio.to_thread.run_sync(lambda: self.hub.run(*words, **more))

    async def booked(self, device: str) -> dict[str, Any]:
        """Its ledger, once every follower has taken in all there is."""
        async with connect(self.target) as operator:
            with trio.fail_after(30):
                while any(each["lag"] for each in (await operator.call("status"))["followers"]):  # noqa: ASYNC110
                    await trio.sleep(0.02)
            (entry,) = await operator.call("ledger", device=device)
        return dict(entry)


def said(ran: "subprocess.CompletedProcess[str]", code: Exit, *words: str) -> None:
    """It ended so, with these words on stderr, nothing on stdout, and no traceback."""
    assert ran.returncode == code, ran.stderr
    for word in words:
        assert word in ran.stderr
    assert ran.stdout == ""
    assert "Traceback" not in ran.stderr
