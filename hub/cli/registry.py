"""``telemetrio devices ls|show|enroll|revoke``: what the hub knows of devices, and who may come in."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any, Final

from cyclopts import Parameter

from hub.cli.options import OUTPUT, REACH, Labels, Output, Reach

COLUMNS: Final = ("device", "model", "state", "since", "last_seen", "waiting", "catch_up", "labels", "software")


def ls(
    *devices: Annotated[str, Parameter(help="Names or globs [default: all].")],
    label: Labels = (),
    fail_empty: Annotated[bool, Parameter(negative=(), help="Exit code 7 when nothing matches.")] = False,
    reach: Reach = REACH,
    output: Output = OUTPUT,
) -> int:
    """List the devices that the hub knows."""
    from hub.cli.ask import call
    from hub.cli.exits import Exit
    from hub.cli.options import pairs
    from hub.cli.output import chosen, write_records

    found = call(reach.target(), "devices.list", devices=list(devices) or None, labels=pairs(label, "label") or None)
    write_records([_readable(each) for each in found] if chosen(output) == "table" else found, COLUMNS, output)
    if not found:
        print("telemetrio: no device matches; 'telemetrio devices enroll NAME' lets one in", file=sys.stderr)
    return Exit.EMPTY if fail_empty and not found else Exit.OK


def show(device: str, /, *, reach: Reach = REACH, output: Output = OUTPUT) -> None:
    """Everything about one device: metrics, latest values, ledger, properties."""
    from hub.cli.ask import call
    from hub.cli.output import chosen, write_record

    found = call(reach.target(), "devices.show", device=device)
    if chosen(output) == "table":
        _tables(found, output)
    else:
        names = ("metric", "time", "value", "quality")
        latest = [dict(zip(names, reading, strict=True)) for reading in found["latest"]]
        write_record({**found, "latest": latest}, output)


def _readable(device: dict[str, Any]) -> dict[str, Any]:
    """For people: when a device has caught up as 1h30m instead of seconds, and how far its clock is off in seconds."""
    from hub.query import format_duration

    told, seconds, offset = dict(device), device.get("catch_up"), device.get("clock_offset")
    if seconds is not None:
        told["catch_up"] = format_duration(max(1, round(seconds)) * 1_000_000)
    if offset is not None:
        told["clock_offset"] = f"{offset / 1e6:+.3f} s"
    return told


def _tables(found: dict[str, Any], output: Output) -> None:
    from hub.cli.ledger import write_entries
    from hub.cli.output import instant, write_record, write_rows
    from hub.wire.messages import QUALITIES

    nested = ("metrics", "latest", "ledger")
    write_record(_readable({key: value for key, value in found.items() if key not in nested}), output)
    units = {name: (unit, kind) for name, unit, kind in found["metrics"]}
    latest = {name: (instant(time), value, QUALITIES[quality]) for name, time, value, quality in found["latest"]}
    print()
    write_rows(
        ["metric", "unit", "type", "time", "value", "quality"],
        ([name, *units.get(name, ("", "")), *latest.get(name, ("", None, ""))] for name in units | latest),
        output,
    )
    print()
    write_entries(found["ledger"], output)


def enroll(
    device: str,
    /,
    *,
    label: Labels = (),
    save: Annotated[Path | None, Parameter(help="Write the token to this file, 0600, instead of printing it.")] = None,
    reach: Reach = REACH,
    output: Output = OUTPUT,
) -> None:
    """Let a device in: print its new token. Enrolled again, its old token opens no link any more; one that is
    open stays. A device that is revoked is let in again by an admin only."""
    from hub.cli.ask import call
    from hub.cli.options import pairs
    from hub.cli.output import write_record

    context = reach.context()
    target = context.target if context.token else context.with_token(context.enrol_token)
    if save is not None:  # before the hub makes the old token worthless: it cannot tell the new one twice
        with open(os.open(save, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
            os.fchmod(file.fileno(), 0o600)
    found = call(target, "devices.enroll", device=device, labels=pairs(label, "label") or None)
    if save is None:
        write_record(found, output)
        print("telemetrio: keep the token; the hub does not know it, and cannot tell it again", file=sys.stderr)
    else:
        save.write_text(found["token"] + "\n")
        print(f"telemetrio: the token of {device} is in {save}", file=sys.stderr)


def revoke(device: str, /, *, reach: Reach = REACH) -> None:
    """Lock a device out: its link is closed and its token is of no use any more. What it sent stays."""
    from hub.cli.ask import call

    call(reach.target(), "devices.revoke", device=device)
    print(f"telemetrio: {device} is locked out; 'telemetrio devices enroll {device}' lets it in again", file=sys.stderr)
