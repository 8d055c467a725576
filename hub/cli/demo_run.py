"""The processes of a demo: start the hub, start the fleet, watch, stop in order, ask for the proof."""

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeVar

import trio

from hub.cli.demo_folder import DemoFolder
from hub.cli.demo_summary import Summary
from hub.cli.exits import CommandError
from hub.cli.ledger import sums
from hub.client import Flags, HubFailure, Operator, Target, connect, find_context
from hub.ports import SystemClock
from hub.query import Question

READY_SECONDS: Final = 30.0  # until the hub listens: slow disks and cold caches included
POLL_SECONDS: Final = 0.02  # between two looks for what a process is about to do
COMMAND_SECONDS: Final = 5.0  # what a device gets for each of the demo's commands
DRAIN_SECONDS: Final = 20.0  # for the fleet to get its last acks, and for the followers to catch up
END_SECONDS: Final = 40.0  # for the hub to stop by itself: its own deadlines for drain and followers are below
LOCAL: Final = "localhost,127.0.0.1,::1"
COMMAND: Final = "identify"  # every model has it, and it harms nothing

T = TypeVar("T")


class Demo:
    """One run; see ``hub.cli.demo``."""

    def __init__(
        self, folder: DemoFolder, settings: Path, devices: int, length: float | None, with_dashboard: bool
    ) -> None:
        self._folder = folder.path
        self._lifeline, self._alive = os.pipe()  # the second is ours alone: closed when this process is no more
        self._inherited = (self._lifeline, *folder.lock)
        self._settings = settings
        self._length = length
        self._with_dashboard = with_dashboard
        self._environment = clean_environment(os.environ)
        self._summary = Summary(devices)
        self._over = trio.Event()
        self._began = 0.0
        self._since = 0

    async def run(self) -> Summary:
        """The whole demo. Ends early but in order on SIGTERM; raises KeyboardInterrupt on Ctrl-C."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._until_terminated)
            self._began, self._since = trio.current_time(), SystemClock().now()
            async with self._process("hub", "hub", "serve") as hub:
                target = await self._until_ready(hub)
                words = ("devices", "fleet", "demo", "-n", str(self._summary.devices), "-o", "json")
                async with self._process("fleet", *words) as fleet:
                    await self._watch(target, hub, fleet)
                    await self._end_fleet(fleet)
                await self._prove(target)
                await self._end_hub(hub)
            nursery.cancel_scope.cancel(reason="the demo is over")
        return self._summary

    # --- while it runs ---------------------------------------------------------------------------------------------

    async def _watch(self, target: Target, hub: trio.Process, fleet: trio.Process) -> None:
        async with connect(target) as operator, trio.open_nursery() as nursery:
            nursery.start_soon(self._until_ended, hub, "hub")
            nursery.start_soon(self._until_ended, fleet, "fleet")
            nursery.start_soon(self._measure, operator)
            if self._with_dashboard:
                nursery.start_soon(self._dashboard)
            with trio.move_on_after(math.inf if self._length is None else self._length):
                await self._over.wait()
            if hub.returncode is None:
                devices = await operator.call("devices.list")
                self._summary.devices_online = sum(device["state"] == "online" for device in devices)
            nursery.cancel_scope.cancel(reason="the run is over")

    async def _measure(self, operator: Operator) -> None:
        async def first() -> int:
            return len(await operator.ask(Question(since=self._since, limit=1)))

        await _until(first)
        self._summary.first_reading_s = round(trio.current_time() - self._began, 3)
        chosen = await _until(lambda: self._one_of_each_model(operator))
        async with trio.open_nursery() as nursery:
            for device in chosen:
                nursery.start_soon(self._command, operator, device)

    async def _one_of_each_model(self, operator: Operator) -> list[str]:
        """A device online of each model, once the whole fleet has come."""
        devices = [device for device in await operator.call("devices.list") if device["state"] == "online"]
        if len(devices) < self._summary.devices:
            return []
        return list({device["model"]: device["device"] for device in devices}.values())

    async def _command(self, operator: Operator, device: str) -> None:
        self._summary.commands_sent += 1
        try:
            info = await operator.send_command(device, COMMAND, {"seconds": 1}, COMMAND_SECONDS)
        except HubFailure as failure:
            self._summary.trouble.append(f"{COMMAND} of {device}: {failure.text}")
        else:
            self._summary.commands_ok += info["state"] == "succeeded"

    async def _dashboard(self) -> None:
        """In a process of its own, on this terminal; when it is quit, the demo is over."""
        async with _ending(await self._start("dash", "-c", str(self._settings))) as process:
            await process.wait()
        self._over.set()

    async def _until_ended(self, process: trio.Process, name: str) -> None:
        code = await process.wait()
        self._summary.trouble.append(f"the {name} ended by itself with exit code {code}; see {name}.log")
        self._over.set()

    async def _until_terminated(self) -> None:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGHUP) as signals:
            async for _ in signals:
                self._over.set()

    # --- processes -------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _process(self, name: str, *words: str) -> AsyncIterator[trio.Process]:
        """A child whose output goes to files of its name; gone at the end of the block, whatever happens."""
        out, log = self._folder / f"{name}.json", self._folder / f"{name}.log"
        with out.open("wb") as stdout, log.open("wb") as stderr:
            process = await self._start(*words, "-c", str(self._settings), stdout=stdout, stderr=stderr)
        async with _ending(process):
            yield process

    async def _start(self, *words: str, **files: Any) -> trio.Process:
        if files:
            files |= {"stdin": subprocess.DEVNULL, "process_group": 0}  # Ctrl-C is for us: we end them in order
        command = [sys.executable, "-m", "hub.cli.demo_child", str(self._lifeline), *words]
        return await trio.lowlevel.open_process(command, env=self._environment, pass_fds=self._inherited, **files)

    async def _until_ready(self, hub: trio.Process) -> Target:
        ready = self._settings.parent / "data" / "hub.json"
        with trio.move_on_after(READY_SECONDS):
            while hub.poll() is None:
                if _pid(ready) == hub.pid:
                    target = replace(find_context(Flags(config=self._settings), {}).target, proxy="")
                    hint = f"in another terminal: telemetrio tail -c {self._settings}"
                    print(f"telemetrio: hub at {target.url}; {hint}", file=sys.stderr)
                    return target
                await trio.sleep(POLL_SECONDS)
        last = (self._folder / "hub.log").read_text(errors="replace").splitlines()[-5:]
        raise CommandError("\n".join(["the hub did not start:", *last]))

    async def _end_fleet(self, fleet: trio.Process) -> None:
        if fleet.poll() is None:
            fleet.terminate()
            with trio.move_on_after(DRAIN_SECONDS):
                await fleet.wait()
        try:
            self._summary.fleet_told(json.loads((self._folder / "fleet.json").read_text()))
        except (ValueError, KeyError):
            self._summary.trouble.append("the fleet did not tell how it went; see fleet.log")

    async def _prove(self, target: Target) -> None:
        """Let the followers catch up, take the hub's ledger, and have another process verify it."""
        async with connect(target) as operator:
            with trio.move_on_after(DRAIN_SECONDS):
                await _until(lambda: _caught_up(operator))
            entries = await operator.call("ledger")
            self._summary.ledger_told(entries, (await operator.call("status"))["duplicate"])
        command = [sys.executable, "-m", "hub.cli", "ledger", "--verify", "-o", "json", "-c", str(self._settings)]
        with (self._folder / "ledger.log").open("wb") as log:
            done = await trio.run_process(
                command, env=self._environment, capture_stdout=True, stderr=log, check=False, stdin=b""
            )
        (self._folder / "ledger.json").write_bytes(done.stdout)
        try:
            self._summary.ledger_balanced = done.returncode == 0 and json.loads(done.stdout)["balanced"] is True
        except (ValueError, KeyError, TypeError):
            self._summary.ledger_balanced = False

    async def _end_hub(self, hub: trio.Process) -> None:
        hub.terminate()
        with trio.move_on_after(END_SECONDS):
            code = await hub.wait()
            if code != 0:
                self._summary.trouble.append(f"the hub ended with exit code {code}; see hub.log")
            return
        self._summary.trouble.append(f"the hub did not end within {END_SECONDS:g} s; see hub.log")


@asynccontextmanager
async def _ending(process: trio.Process) -> AsyncIterator[trio.Process]:
    """At the end of the block the process is asked to end, and made to if it does not."""
    try:
        yield process
    finally:
        with trio.CancelScope(shield=True):
            if process.poll() is None:
                process.terminate()
                with trio.move_on_after(END_SECONDS):
                    await process.wait()
            if process.poll() is None:
                process.kill()
            await process.wait()


async def _until(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask again and again until the answer is true."""
    while not (answer := await ask()):  # noqa: ASYNC110  (what another process does sets no event here)
        await trio.sleep(POLL_SECONDS)
    return answer


async def _caught_up(operator: Operator) -> bool:
    status = await operator.call("status")
    if any(follower["lag"] for follower in status["followers"]):
        return False
    return not sums(await operator.call("ledger"))["pending"]


def _pid(ready: Path) -> int | None:
    try:
        return int(json.loads(ready.read_text())["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Without settings that are meant for another hub, and without a proxy between processes of this machine."""
    kept = {name: value for name, value in environment.items() if not name.startswith("TELEMETRIO_")}
    for name in ("NO_PROXY", "no_proxy"):
        kept[name] = ",".join(part for part in (kept.get(name), LOCAL) if part)
    return kept
