"""The hostile corpus against a hub in a process of its own, while a good device in another one streams: what the test
and the row of the fault lab share."""

import random
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import copytree
from typing import Any, cast

import trio

from hub.client.dial import Target
from hub.client.shell import connect
from tests.edge.house import MODEL, House
from tests.edge.test_hostile import ATTACKS, Attacker
from tests.end_to_end.processes import HubProcess, online, running, until, verified
from tests.end_to_end.standing import counted, standing

ROOT = Path(__file__).parents[2]
AT_ONCE = 20
PATIENCE = 20.0  # seconds: the hub lets nobody in who has not said hello within 10
BASE_SECONDS = 30.0  # the hub's own deadlines for silent peers (5 s TLS, 5 s request, 10 s hello), and some more


@dataclass
class Aim:
    """What an attacker knows of a hub."""

    port: int
    ca: Path


async def attack(hub: HubProcess, times: int) -> None:
    """All of the corpus, so many times, each attacker under a name of its own."""
    port = int(hub.url.rpartition(":")[2])
    aim = cast("House", Aim(port, hub.folder / "ca.pem"))  # attackers look at these two only
    names = [(attack, f"evil-{attack.__name__}-{n}") for n in range(times) for attack in ATTACKS]
    async with connect(Target(hub.url, hub.token(), hub.folder / "ca.pem", proxy="")) as operator:
        tokens = {name: (await operator.call("devices.enroll", device=name))["token"] for _, name in names}
    limit = trio.CapacityLimiter(AT_ONCE)
    async with trio.open_nursery() as nursery:
        for each, name in names:

            async def one(each=each, name=name) -> None:  # type: ignore[no-untyped-def]
                async with limit:
                    with suppress(trio.BrokenResourceError):  # thrown out earlier than it had planned
                        await each(Attacker(aim, tokens[name], random.Random(name), PATIENCE))

            nursery.start_soon(one)


def under_corpus(tmp_path: Path, times: int) -> dict[str, Any]:
    """A hub, a good device, and the whole corpus so many times; AssertionError where something is left behind."""
    models = tmp_path / "models"
    copytree(ROOT / "configs" / "models", models)
    (models / "tank.toml").write_text(MODEL)
    with HubProcess.make(tmp_path / "lab", settings={"TELEMETRIO_MODELS__DIRECTORY": str(models)}) as hub:
        pid = hub.pid
        with running(hub, "devices", "run", "good", "--model", "weather-station", "--every", "0.1s") as good:
            until(lambda: online(hub) == {"good"})
            base = standing(hub)
            trio.run(attack, hub, times)
            deadline = time.monotonic() + BASE_SECONDS
            while (now := standing(hub)) != base and time.monotonic() < deadline:
                time.sleep(0.2)
            assert now == base, f"{now} after {base}"
            found = counted(hub)
            assert found["telemetrio_edge_crashed"] == 0
            assert found["telemetrio_edge_half_open"] == 0
            assert found["telemetrio_edge_accepted"] > len(ATTACKS) * times
            report = good.interrupt()
        assert report["reconnects"] == 0
        assert report["sent"] == report["acked"] > 0
        (entry,) = [each for each in verified(hub)["entries"] if each["device"] == "good"]
        assert entry["lost"] == entry["dropped"] == []
        assert entry["received"] == report["acked"] == entry["stored"] + sum(entry["rejected"].values())
        assert hub.process is not None
        assert hub.process.poll() is None
        assert hub.pid == pid
        assert "Traceback" not in hub.log()
        assert hub.stop() == 0
    return {"attacks": len(ATTACKS) * times, "good_acked": report["acked"], "base": tuple(base)}
