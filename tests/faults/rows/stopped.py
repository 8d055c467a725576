"""F14: hub or devices stand still for longer than anybody waits, and go on."""

import time

import trio

from hub.client.shell import Operator, connect
from tests.end_to_end.standing import standing
from tests.faults.ground import account, back
from tests.faults.lab import Failed, Figures, Lab, Row
from tests.faults.stage import PATIENCE_SECONDS, Stage

IDLE_SECONDS = 1.0  # of silence until the hub pings: as short as the settings allow; it lets go after 2.5
STOPPED_SECONDS = 5.0
LOOK_SECONDS = 0.02


def stopped(lab: Lab) -> Figures:
    """SIGSTOP, SIGCONT: first the hub, then the process of all devices."""
    stage = Stage(lab, {"TELEMETRIO_LIMITS__IDLE_SECONDS": str(IDLE_SECONDS)})
    try:
        stage.start_hub()
        base = standing(stage.hub)
        stage.start_devices()
        trio.run(_recovered, stage)
        figures: Figures = {}
        for whom in ("hub", "devices"):
            stage.progress()
            stage.halt(whom)
            time.sleep(STOPPED_SECONDS)
            if whom == "devices" and (online := trio.run(_online, stage)):
                raise Failed(f"{online} devices that stand still count as online")
            stage.wake(whom)
            figures[f"{whom}_recovery_s"] = round(trio.run(_recovered, stage), 2)
        stage.drain()
        trio.run(back, stage.hub, base)
        return account(lab, stage) | figures
    finally:
        stage.end()


async def _throughs(operator: Operator) -> dict[str, int]:
    """What is settled of each device that is online."""
    devices = await operator.call("devices.list")
    return {each["device"]: each["through"] or 0 for each in devices if each["state"] == "online"}


async def _online(stage: Stage) -> int:
    async with connect(stage.target) as operator:
        return len(await _throughs(operator))


async def _recovered(stage: Stage) -> float:
    """Until every device is online and has had something settled from now on; the seconds."""
    began = trio.current_time()
    with trio.fail_after(PATIENCE_SECONDS):
        async with connect(stage.target) as operator:
            devices = await operator.call("devices.list")
            before = {each["device"]: each["through"] or 0 for each in devices}
            while True:
                now = await _throughs(operator)
                if all(now.get(name, -1) > through for name, through in before.items()):
                    break
                await trio.sleep(LOOK_SECONDS)
    return trio.current_time() - began


ROWS = [Row("F14 hub or devices stopped", stopped, seconds=15.0)]
