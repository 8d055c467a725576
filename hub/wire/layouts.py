"""Which fields each message has, in order: the table that the decoder reads frames by."""

from collections.abc import Callable
from typing import Any, Final, TypeAlias, TypeVar

from cbor2 import CBORTag

from hub.wire import fields as f
from hub.wire import messages as m
from hub.wire import operator as o
from hub.wire.typed_arrays import TypedArrayError, from_tag

M = TypeVar("M")
Make: TypeAlias = Callable[[list[Any]], Any]

MAX_HELD: Final = 4_096  # ranges in a welcome that a device can read; the hub tells fewer
MAX_REJECTIONS: Final = 32  # entries in a reject: it is advice, quarantine holds the truth
MAX_PATTERNS: Final = 1_024  # globs in a subscription


def _layout(make: Callable[..., M], *checks: f.Check, also: Callable[[M], None] | None = None) -> Make:
    """Reads ``[code, field, ...]`` with exactly these fields; ``also`` judges what spans fields."""
    length = len(checks) + 1

    def read(items: list[Any]) -> M:
        if len(items) != length:
            f.refuse(f"this message has {length} fields")
        message = make(*[check(item) for check, item in zip(checks, items[1:], strict=True)])
        if also is not None:
            also(message)
        return message

    return read


def _hello(hello: m.Hello) -> None:
    if (hello.epoch is None) is not (hello.log is None):
        f.refuse("epoch and log are both null or both given")
    if not hello.acked < hello.next or not hello.first <= hello.next:
        f.refuse("acked must be below next, and first not above it")
    if len({metric.name for metric in hello.metrics}) != len(hello.metrics):
        f.refuse("a metric may be declared once only")


def _dropped(dropped: m.Dropped) -> None:
    if dropped.first > dropped.last:
        f.refuse("first must not be above last")


def _welcome(welcome: m.Welcome) -> None:
    before = welcome.through
    for first, last in welcome.held:
        if not before < first <= last:
            f.refuse("held must be rising ranges above through")
        before = last


def _answer(value: Any) -> Any:
    """A plain value whose maps may have typed arrays, directly or one map deeper."""
    if type(value) is not dict:
        return f.plain(value)
    return {_key(key): _column(item) for key, item in value.items()}


def _column(value: Any) -> Any:
    if type(value) is CBORTag:
        try:
            return from_tag(value)
        except TypedArrayError as error:
            raise f.Wrong(str(error)) from None
    if type(value) is dict:
        return {_key(key): _column(item) for key, item in value.items()}
    return f.plain(value)


_key: Final = f.filled(m.MAX_TEXT, "a key")
_id: Final = f.filled(f.MAX_ID, "an id")
_short: Final = f.text(f.MAX_ID, "a short text")
_log: Final = f.filled(f.MAX_ID, "a log id")
_number: Final = f.whole(0, f.SEQ_MAX, "a request id")
_window: Final = f.record(m.Window, "a window", f.count, f.count)
_declared: Final = f.record(m.Declared, "a metric", f.name("a metric's name"), _short, f.filled(f.MAX_ID, "a type"))
_range: Final = f.record(lambda first, last: (first, last), "a range", f.seq, f.seq)
_rejection: Final = f.record(
    m.Rejection, "a rejection",
    f.whole(-1, m.MAX_METRICS - 1, "a metric index"), f.filled(f.MAX_ID, "a code"), f.count, f.count, f.words,
)  # fmt: skip
_patterns: Final = f.sequence(f.words, MAX_PATTERNS, "patterns")
_anything: Final = f.text(m.MAX_FRAME, "text")

#: A result without a number: progress, or an early copy of the final one (P12).
PROGRESS: Final[dict[int, Make]] = {
    7: _layout(m.Result, f.optional(f.seq), _id, f.one_of(m.DEVICE_STATES, "a state"), f.plain),
}

NUMBERED: Final[dict[int, Make]] = {
    5: _layout(
        m.Event, f.seq, f.optional(f.instant),
        f.one_of(frozenset({"debug", "info", "warning", "error"}), "a level"), f.words,
    ),
    6: _layout(m.Reported, f.seq, f.mapping),
    7: _layout(m.Result, f.seq, _id, f.one_of(m.DEVICE_STATES & m.FINAL_STATES, "a final state"), f.plain),
}  # fmt: skip

DEVICE: Final[dict[int, Make]] = {
    1: _layout(
        m.Hello, f.name("a model"), f.optional(f.seq), f.optional(_log), f.count, f.seq, f.seq,
        f.sequence(_declared, m.MAX_METRICS, "metrics"), f.optional(f.instant),
        f.optional(f.whole(0, f.SEQ_MAX, "an uptime")), f.words, f.optional(f.filled(f.MAX_TOKEN, "a token")),
        also=_hello,
    ),
    4: _layout(m.Dropped, f.seq, f.seq, f.optional(f.count), f.words, also=_dropped),
    8: _layout(m.Bye, f.words),
}  # fmt: skip

HUB: Final[dict[int, Make]] = {
    16: _layout(
        m.Welcome, f.seq, f.count, f.sequence(_range, MAX_HELD, "held"), _window,
        f.whole(1, f.SEQ_MAX, "a frame limit"), f.seconds, f.instant, _log, also=_welcome,
    ),
    17: _layout(m.Ack, f.count, _window),
    18: _layout(m.Reject, f.seq, f.sequence(_rejection, MAX_REJECTIONS, "rejections"), f.count),
    19: _layout(m.Command, _id, f.name("a command"), f.mapping, f.instant),
    20: _layout(m.Cancel, _id),
    21: _layout(m.Desired, f.count, f.mapping),
    22: _layout(m.Goaway, f.seconds, f.words),
}  # fmt: skip

REQUESTS: Final[dict[int, Make]] = {
    32: _layout(
        o.Subscribe, _number, f.sequence(f.one_of(frozenset(o.KINDS), "a kind"), len(o.KINDS), "kinds"), _patterns,
        _patterns,
    ),
    33: _layout(o.Unsubscribe, _number),
    34: _layout(o.Send, _number, f.name("a device"), f.name("a command"), f.mapping, f.seconds, f.flag),
    35: _layout(o.Ask, _number, f.mapping),
    36: _layout(o.Call, _number, f.words, f.mapping),
}  # fmt: skip

REPLIES: Final[dict[int, Make]] = {
    48: _layout(o.Greeting, _short, f.words, f.words, f.instant, _log),
    49: _layout(o.Update, _number, f.one_of(frozenset({*o.KINDS, "skipped"}), "a kind"), f.plain),
    50: _layout(o.Answer, _number, _answer, f.flag),
    51: _layout(o.Failure, _number, f.one_of(frozenset(o.FAILURES), "a failure"), _anything),
}  # fmt: skip
