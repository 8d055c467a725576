"""What a hello means for a device's numbers (P1, P2, P4): decided here, without changing anything."""

from dataclasses import dataclass, field
from typing import Final

from hub.ingest.numbering import DeviceMarks, Numbering
from hub.wire.errors import CloseCode, RemoteProtocolError
from hub.wire.messages import Hello

MAX_NUMBER: Final = 2**53  # epochs and seqs stay whole in every reader of them
FAR_ABOVE: Final = (
    2**24
)  # epochs that a hub may have given since the backup it was restored from: one a minute for 30 years
MAX_HELD: Final = 1_024  # ranges in a welcome, so that it stays a small frame; a device sends again what is beyond
LOST: Final = "lost at the hub: acked, but not here any more"
DROPPED: Final = "not held by the device any more"


@dataclass(frozen=True)
class Missing:
    """Numbers that hello shows will not come: ``lost`` at the hub, or dropped at the device."""

    first: int
    last: int
    lost: bool


@dataclass(frozen=True)
class Plan:
    """What to do with a hello. ``fresh``: why a fresh epoch is given, null when the named one goes on.

    ``from_epoch``: the epoch whose numbers go on in the fresh one. ``through`` and ``held`` are of the epoch named,
    after ``missing`` has been recorded there; ``untold`` is here, too, above ``held``, which has no room for it.
    ``next``: where the numbers of ``from_epoch`` end, null when unknown. What is numbered up to ``double`` in the fresh
    epoch may be here already.
    """

    fresh: str | None
    through: int
    held: tuple[tuple[int, int], ...] = ()
    missing: list[Missing] = field(default_factory=list)
    from_epoch: int | None = None
    next: int | None = None
    double: int = 0
    untold: tuple[tuple[int, int], ...] = ()


def plan(hello: Hello, marks: DeviceMarks, log: str) -> Plan:
    """Decide; RemoteProtocolError (PROTOCOL) when the numbers of hello contradict each other."""
    if not (1 <= hello.first <= hello.next < MAX_NUMBER and 0 <= hello.acked < hello.next):
        text = (
            f"hello says acked {hello.acked}, first {hello.first}, next {hello.next}: first and acked+1 go up to next"
        )
        raise RemoteProtocolError(CloseCode.PROTOCOL, text)
    current = marks.current.epoch if marks.current is not None else None
    if hello.epoch is None:
        return Plan("first" if current is None else "null_hello", 0, from_epoch=current)
    if hello.log != log:
        return Plan("other_log", 0, from_epoch=current)
    if not 1 <= hello.epoch <= marks.highest_epoch + FAR_ABOVE:  # by one lie it would be the last that can be given
        raise RemoteProtocolError(CloseCode.PROTOCOL, f"epoch {hello.epoch} was never given: say hello without one")
    numbering = marks.named(hello.epoch)
    if numbering is None and hello.epoch > marks.highest_epoch:
        return _continued(hello, Numbering(hello.epoch), "restored")  # given by a hub that was restored since
    if numbering is None or hello.next <= numbering.highest:
        return Plan(
            "rewound", hello.first - 1, from_epoch=hello.epoch, next=hello.next, double=hello.next - hello.first
        )
    if numbering is not marks.current:
        return _continued(hello, numbering, "unconfirmed")
    return _continued(hello, numbering, "gaps" if numbering.crowded else None)


def _continued(hello: Hello, numbering: Numbering, fresh: str | None) -> Plan:
    """The numbering that was named goes on, in the same epoch or in a fresh one."""
    missing: list[Missing] = []
    settled = numbering.settled()
    for first, last in settled.missing(1, hello.first - 1):
        if first <= hello.acked:
            missing.append(Missing(first, min(last, hello.acked), True))
        if last > hello.acked:
            missing.append(Missing(max(first, hello.acked + 1), last, False))
    settled.add(1, hello.first - 1)
    held = settled.pairs()
    through = held.pop(0)[1] if 1 in settled else 0
    told, untold = tuple(held[:MAX_HELD]), tuple(held[MAX_HELD:])
    double = hello.next - hello.first if fresh and untold else 0
    return Plan(fresh, through, told, missing, hello.epoch, hello.next, double, () if fresh else untold)
