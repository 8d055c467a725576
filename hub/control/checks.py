"""Whether a command may be sent at all: asked of registry and model before anything is written."""

from collections.abc import Mapping
from typing import Final

from hub.control.errors import CommandRefused
from hub.model import Model, ModelError, check_arguments
from hub.wire.messages import Plain
from hub.wire.shapes import DeviceInfo

LONGEST_SECONDS: Final = 24 * 3600.0  # of a timeout: beyond it wants a queue for absent devices
OPEN_PER_DEVICE: Final = 64  # commands; no more than the half of an outbox that `room` keeps for them


def check_command(
    info: DeviceInfo, model: Model | None, name: str, args: Mapping[str, Plain], timeout: float, waiting: int
) -> dict[str, Plain]:
    """The arguments as the device gets them, or CommandRefused. ``waiting``: its commands that are not over."""
    device = info["device"]
    if not 0 < timeout <= LONGEST_SECONDS:
        raise CommandRefused("bad_argument", f"the timeout is more than 0 and at most {LONGEST_SECONDS:.0f} seconds")
    if info["state"] == "revoked":
        raise CommandRefused("conflict", f"{device} is revoked; enroll it again first")
    if waiting >= OPEN_PER_DEVICE:
        raise CommandRefused("limit", f"{waiting} commands for {device} are not over yet; wait, or cancel some")
    if not info["model"]:  # it never said hello: what it takes is not known, and it is not there to be asked
        return dict(args)
    spec = None if model is None else model.commands.get(name)
    if spec is None:
        known = ", ".join(sorted(model.commands)) if model is not None else ""
        takes = f"it takes {known}" if known else "it takes none"
        raise CommandRefused("unknown_command", f"{info['model']} has no command {name[:64]!r}: {takes}")
    try:
        return check_arguments(spec, args)
    except ModelError as exc:
        raise CommandRefused("bad_argument", str(exc)) from exc
