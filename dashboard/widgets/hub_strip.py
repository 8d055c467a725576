"""The strip over every page: how the hub is, in one line where it is narrow and in three where there is room."""

from textwrap import wrap

from rich.text import Text

from dashboard import figures
from dashboard.look import Look, Part, look_of
from dashboard.view import View
from dashboard.widgets.words import Words
from hub.client.text import safe_text
from hub.wire.shapes import FollowerStatus, Status

WIDE = 120  # cells from which there is room for sparklines and every follower
ROOMY = 160  # cells from which its sparklines are long
MOST_FOLLOWERS = 7
MOST_LINES = 3  # of one problem: what to do about it stands at its end, and must be read at 80 cells too
Gauge = tuple[str, tuple[Part, ...]]  # a title and what it says


class HubStrip(Words):
    """Rates, ack latency, lag of each follower, links and problems; and the state of our own link."""

    def __init__(self) -> None:
        super().__init__("strip")

    def show(self, view: View, now: int, *, paused: bool, readonly: bool) -> None:
        """Paint ``view`` at ``now`` (us, hub time)."""
        look = look_of(self.app)
        wide = self.size.width >= WIDE
        text = Text(no_wrap=True, overflow="ellipsis", end="")
        head = self._head(view, look, paused, readonly)
        gauges = self._gauges(view, now, look, wide) if view.status else []
        if wide:
            text.append_text(_rows(head, _about(view), gauges, look, self.size.width - 2))
        else:
            text.append_text(Text.assemble(*head, *_line(gauges, look)))
        for problem in self._problems(view):
            for at, line in enumerate(wrap(safe_text(problem), max(20, self.size.width - 4))[:MOST_LINES]):
                text.append("\n  " if at else "\n▲ ", look.bad).append(line, look.bad)
        self.say(text)

    def _head(self, view: View, look: Look, paused: bool, readonly: bool) -> list[Part]:
        colour = {"live": look.good, "connecting": look.warn}.get(view.link.state, look.bad)
        symbol = {"live": "●", "connecting": "◌"}.get(view.link.state, "○")
        word = "live" if view.link.state == "live" else view.link.state
        parts = [Part("◆ telemetrio ", f"bold {look.accent}"), Part(f"{symbol} {word}", colour)]
        if paused:
            parts.append(Part("  ‖ paused", f"bold {look.warn}"))
        if view.greeting and (readonly or not view.may_command):
            parts.append(Part("  read only", look.muted))
        return parts

    def _problems(self, view: View) -> list[str]:
        problems = list(view.status["problems"]) if view.status and view.link.state == "live" else []
        if view.link.state not in ("live", "connecting"):
            again = f" – dialling again in {view.link.retry:.1f} s" if view.link.retry else ""
            problems.insert(0, f"{view.link.text}{again}")
        elif view.link.state == "connecting" and view.link.text:
            problems.insert(0, view.link.text)
        if view.status:
            problems += [
                f"follower {follower['name']}: {follower['error'] or 'unhealthy'}"
                for follower in view.status["followers"]
                if not follower["healthy"]
            ]
        return problems[:3]

    def _gauges(self, view: View, now: int, look: Look, wide: bool) -> list[Gauge]:
        status = view.status
        assert status is not None
        counts = view.count(now)
        online = counts["online"] + counts["stale"]
        rate = (Part(figures.si(status["readings_per_s"]), look.strong), Part("/s", look.muted))
        ack = (
            Part(f"{status['ack_ms_p50']:.1f}", look.strong),
            Part("/", look.muted),
            Part(f"{status['ack_ms_p99']:.1f}", look.strong if status["ack_ms_p99"] < 100 else f"bold {look.warn}"),
            Part(" ms", look.muted),
        )
        if not wide:
            return [
                ("", (Part(f"{online:,}", look.strong), Part(f"/{len(view.devices):,} online", look.muted))),
                ("", (*rate, Part(" readings", look.muted))),
                ("ack", ack),
                ("lag", _worst(status, look)),
            ]
        long, short = (16, 10) if self.size.width >= ROOMY else (9, 7)
        rates = Part(" " + figures.spark(view.rates, long), look.bars)
        return [
            ("devices online", (Part(f"{online:,}", look.strong), Part(f" of {len(view.devices):,}", look.muted))),
            ("readings", (*rate, rates)),
            ("ack p50 / p99", (*ack, Part(" " + figures.spark(view.acks, short), look.bars))),
            ("records behind", _lags(status, look, MOST_FOLLOWERS if self.size.width >= ROOMY else 1)),
            ("frames", (Part(figures.si(status["frames_per_s"]), look.strong), Part("/s", look.muted))),
            ("links", (Part(f"{status['links']:,}", look.strong),)),
            ("rejected", (Part(f"{status['rejected']:,}", look.strong),)),
            ("commands open", (Part(f"{view.open_commands()}", look.strong),)),
        ]


def _about(view: View) -> str:
    """The hub's version and how long it has been up."""
    status = view.status
    return f"hub {safe_text(status['version'], 12)}  up {figures.span(status['uptime'])}" if status else ""


def _lag(follower: FollowerStatus, look: Look) -> tuple[Part, ...]:
    if not follower["healthy"]:
        return (Part(f"▲ {follower['lag']:,}", f"bold {look.bad}"),)
    return (Part(f"{follower['lag']:,}", look.strong if follower["lag"] < 10_000 else f"bold {look.warn}"),)


def _lags(status: Status, look: Look, most: int) -> tuple[Part, ...]:
    """The lag of each follower, in the hub's order; of one alone it is that of the one that is furthest behind."""
    parts: list[Part] = []
    shown = status["followers"][:most] if most > 1 else _by_trouble(status)[-1:]
    for follower in shown:
        parts += [Part(("  " if parts else "") + safe_text(follower["name"], 12) + " ", look.muted)]
        parts += _lag(follower, look)
    return tuple(parts) or (Part("–", look.muted),)


def _worst(status: Status, look: Look) -> tuple[Part, ...]:
    followers = _by_trouble(status)
    return _lag(followers[-1], look) if followers else (Part("–", look.muted),)


def _by_trouble(status: Status) -> list[FollowerStatus]:
    return sorted(status["followers"], key=lambda entry: (not entry["healthy"], entry["lag"]))


def _line(gauges: list[Gauge], look: Look) -> list[Part]:
    parts: list[Part] = []
    for title, figure in gauges:
        parts += [Part("  ", ""), *([Part(f"{title} ", look.muted)] if title else []), *figure]
    return parts


def _rows(head: list[Part], about: str, gauges: list[Gauge], look: Look, width: int) -> Text:
    """Titles over figures, each gauge as wide as the wider of the two; what does not fit is left out."""
    over, under = Text.assemble(*head), Text("  " + about, look.muted)
    left = max(over.cell_len, under.cell_len) + 4
    over.pad_right(left - over.cell_len)
    under.pad_right(left - under.cell_len)
    for title, figure in gauges:
        said = Text.assemble(*figure)
        size = max(len(title), said.cell_len)
        if left + size > width:
            break
        over.append(title.ljust(size + 3), look.muted)
        under.append_text(said).pad_right(size + 3 - said.cell_len)
        left += size + 3
    return over.append("\n").append_text(under)
