"""What a hub says of itself, for the proof: asked of the running one, or read from the files of one that is down."""

from contextlib import suppress
from pathlib import Path
from typing import Final

import trio

from hub.client import ClientError, Operator
from hub.disk import DiskFiles
from hub.followers.ledger import ledger_entry, tell_targets
from hub.journal import known_log_id
from hub.journal.archive import open_segment
from hub.journal.segments import SegmentReader, segments
from hub.ports import Files
from hub.state import State
from hub.store.duck import DuckStore
from hub.upkeep.verify import Claims
from hub.wire.shapes import Pin

BOOKED_SECONDS: Final = 5.0  # how long a hub is waited for to have booked all that is durable; one in trouble never has
RELEASE_SECONDS: Final = 5.0  # what nobody lets go of ends by itself, so a hub that does not answer is not waited for


class ClaimsError(Exception):
    """There is nothing to verify; the text says what to do."""


async def claims_of_hub(operator: Operator) -> Claims:
    """Ask the running hub; the journal it names is then read from this machine's disk, and its pin is to be let go of.
    ClaimsError when the journal is not here."""
    pin = await operator.call("ledger.pin")
    try:
        return await _pinned_claims(operator, pin)
    except BaseException:  # also an interrupt: nobody is going to read
        await let_go(operator, pin["pin"])
        raise


async def let_go(operator: Operator, pin: str) -> None:
    """Whoever took the pin reads no more. A hub that cannot be told ends it by itself."""
    with trio.move_on_after(RELEASE_SECONDS, shield=True), suppress(ClientError):
        await operator.call("ledger.release", pin=pin)


def data_of(pin: Pin) -> Path:
    """The data directory of the hub that gave the pin; ClaimsError when it is not on this machine. Blocks."""
    journal = Path(pin["journal"])
    if not journal.is_dir() or known_log_id(journal.parent, DiskFiles()) != pin["log"]:
        raise ClaimsError(f"the journal is in {journal} on the hub's machine: run this there")
    return journal.parent


async def _pinned_claims(operator: Operator, pin: Pin) -> Claims:
    journal = data_of(pin) / "journal"
    with trio.move_on_after(BOOKED_SECONDS):
        while min((await _cursors(operator)).values()) < pin["lsn"]:  # noqa: ASYNC110  (another process sets no event)
            await trio.sleep(0.05)
    cursor = (await _cursors(operator))["store"]
    stored = await operator.call("ledger.stored", lsn=pin["lsn"])
    entries = await operator.call("ledger")
    status = await operator.call("status")
    exact = status["appended"] == pin["lsn"]
    return Claims(journal, pin["lsn"], entries, dict(stored.rows()), cursor, exact, pin=pin["pin"])


async def _cursors(operator: Operator) -> dict[str, int]:
    """How far those have come that the ledger is made of: until both are past the pinned record, what the hub says of
    itself may be older than what is held against it."""
    followers = (await operator.call("status"))["followers"]
    return {each["name"]: each["cursor"] for each in followers if each["name"] in ("store", "account")}


def claims_of_files(data: Path) -> Claims:
    """Read state and store of a hub that does not run; ClaimsError when one does, or when there is none."""
    files = DiskFiles()
    if not (data / "journal").is_dir():
        raise ClaimsError(f"{data}: no hub has run here; name its settings with --config")
    try:
        lock = files.lock(data / "lock")
    except BlockingIOError:
        raise ClaimsError(f"a hub runs on {data}, but cannot be reached: look at its log") from None
    try:
        return _read(data, files)
    finally:
        lock.close()


def _read(data: Path, files: Files) -> Claims:
    state, store = State(data / "state.sqlite"), DuckStore(data / "store.duckdb")
    state.open(anew=False)
    try:
        account = state.cursors.get("account")
        rows = {(row.device, row.epoch): row for row in state.account.all()}
        devices = {row.device: row for row in state.devices.all()}
    finally:
        state.close()
    cursor = store.open()
    try:
        stored = dict(store.stored(1 << 62).rows())
        _, counts = store.counts()
    finally:
        store.close()
    lsn = _last(data / "journal", files)
    entries = []
    for key, row in sorted(rows.items()):
        known = devices.get(row.device)
        next = known.next or 0 if known is not None and known.epoch == row.epoch else 0
        there = counts.get(key, 0)
        pending = max(0, row.accepted - row.expired - there)
        entries.append(ledger_entry(row, next, there, pending, row.expired))
    tell_targets(entries)
    # A hub that was killed had not booked all that is durable: what it says is held against that much of the journal.
    return Claims(data / "journal", lsn, entries, stored, cursor, account <= lsn, account)


def _last(journal: Path, files: Files) -> int:
    """LSN of the last intact record."""
    for first in reversed(segments(journal, files)):
        reader = SegmentReader(open_segment(journal, files, first), first)
        try:
            while reader.read():
                pass
        finally:
            reader.close()
        if reader.last is not None:
            return reader.last
    return 0
