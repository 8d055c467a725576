from typing import Any

from dashboard.fold import COMMANDS, LINES, RATES, SERIES, TEXT, TRAIL, Fold, described, shown
from dashboard.view import Link
from hub.wire.messages import TIME_UNKNOWN
from tests.dashboard.stage import NOON, SECOND, Stage, command, status


def test_a_view_stays_as_it_was_when_more_is_said() -> None:
    stage = Stage()
    stage.device("a", "pump")
    stage.readings("a", {"flow": 1.0})
    before = stage.view
    stage.readings("a", {"flow": 2.0}, NOON + SECOND)
    stage.say("event", {"device": "a", "time": NOON, "level": "info", "text": "more"})
    assert before.devices["a"].series["flow"].value == 1.0
    assert before.log == ()
    assert stage.view.devices["a"].series["flow"].value == 2.0


def test_the_same_view_is_given_until_something_changes() -> None:
    fold = Fold()
    assert fold.view() is fold.view()
    assert not fold.changed
    fold.link(Link("lost", "gone"))
    assert fold.changed
    assert fold.view().link.text == "gone"


def test_readings_make_a_trail_of_bounded_length_and_an_age() -> None:
    stage = Stage()
    stage.device("a", "pump")
    for at in range(TRAIL + 10):
        stage.readings("a", {"flow": float(at)}, NOON - (TRAIL + 10 - at) * 2 * SECOND)
    device = stage.view.devices["a"]
    assert device.series["flow"].trail == tuple(float(at) for at in range(10, TRAIL + 10))
    assert device.age(NOON) == 2 * SECOND
    assert device.interval == 2 * SECOND


def test_a_reading_said_twice_is_one_bar() -> None:
    stage = Stage()
    for _ in range(3):
        stage.readings("a", {"flow": 5.0}, NOON)
    assert stage.view.devices["a"].series["flow"].trail == (5.0,)


def test_texts_have_a_value_and_no_trail() -> None:
    stage = Stage()
    stage.readings("a", {"state": "running", "on": True})
    series = stage.view.devices["a"].series
    assert (series["state"].value, series["state"].trail) == ("running", ())
    assert series["on"].trail == (1.0,)


def test_times_that_are_unknown_or_in_the_future_make_no_device_younger_than_now() -> None:
    stage = Stage()
    stage.readings("a", {"flow": 1.0}, NOON, TIME_UNKNOWN)
    assert stage.view.devices["a"].seen is None
    stage.readings("a", {"flow": 1.0}, NOON + 3_600 * SECOND)
    assert stage.view.devices["a"].age(NOON) == 0


def test_the_hubs_clock_is_told_from_what_it_says() -> None:
    stage = Stage()
    stage.say("hub", status(time=NOON + 7 * SECOND))
    assert stage.view.skew == 7 * SECOND


def test_presence_changes_the_device_and_is_a_line_when_it_was_known() -> None:
    stage = Stage()
    seen: dict[str, Any] = {"device": "a", "model": "pump", "at": NOON, "reason": ""}
    stage.say("presence", {**seen, "state": "online"})
    assert stage.view.log == ()
    stage.say("presence", {**seen, "state": "offline", "reason": "idle"})
    stage.say("presence", {**seen, "state": "offline", "reason": "idle"})
    assert [(line.kind, line.level, line.text) for line in stage.view.log] == [("link", "warning", "offline: idle")]
    assert stage.view.devices["a"].state == "offline"


def test_a_command_is_one_line_whatever_becomes_of_it() -> None:
    stage = Stage()
    stage.say("command", command("1", "a", "stop", {}, "queued"))
    stage.say("event", {"device": "a", "time": NOON, "level": "info", "text": "stopping"})
    stage.say("command", command("1", "a", "stop", {}, "succeeded", changed=NOON + 5))
    stage.say("command", command("1", "a", "stop", {}, "sent", changed=NOON + 2))  # crossed
    assert [line.level for line in stage.view.log] == ["succeeded", "info"]
    assert stage.view.open_commands() == 0


def violation(time: int, metric: str = "flow", count: int = 1) -> dict[str, Any]:
    return {
        "device": "a",
        "metric": metric,
        "code": "warn_max",
        "count": count,
        "text": f"{time} s",
        "time": time * SECOND,
    }


def test_a_limit_is_one_line_as_long_as_it_is_violated() -> None:
    stage = Stage()
    for time in range(0, 180, 30):
        stage.say("violation", violation(time, count=2))
        stage.say("violation", violation(time, "head"))
    stage.say("event", {"device": "a", "time": 200 * SECOND, "level": "info", "text": "valve opened"})
    assert [(line.time, line.text) for line in stage.view.log] == [
        (0, "flow warn_max ×12: 150 s"),
        (0, "head warn_max ×6: 150 s"),
        (200 * SECOND, "valve opened"),
    ]
    stage.say("violation", violation(211))
    assert [line.text for line in stage.view.log][2:] == ["valve opened", "flow warn_max: 211 s"], (
        "after a while: a new one"
    )
    stage.say("violation", violation(212))
    assert stage.view.log[-1].text == "flow warn_max ×2: 212 s"


def test_a_limit_whose_line_has_left_the_log_gets_a_new_one() -> None:
    stage = Stage()
    for at in range(LINES + 1):
        stage.say("violation", violation(0, f"m{at}"))
    assert len(stage.fold._repeats) == LINES
    stage.say("violation", violation(1, "m0"))
    assert stage.view.log[-1].text == "m0 warn_max: 1 s"
    stage.say("violation", violation(2, "m2"))
    assert stage.view.log[0].text == "m2 warn_max ×2: 2 s"
    for at in range(LINES):
        stage.say("event", {"device": "a", "time": NOON + at, "level": "info", "text": str(at)})
    stage.say("violation", violation(3, "m2"))
    assert stage.view.log[-1].text == "m2 warn_max: 3 s"


def test_inventory_keeps_what_is_known_and_forgets_who_has_gone() -> None:
    stage = Stage()
    stage.device("a", "pump")
    stage.readings("a", {"flow": 1.0})
    stage.device("b", "pump", labels={"site": "x"})
    assert stage.view.devices["a"].series["flow"].value == 1.0
    stage.fold.inventory([stage._infos["b"]])
    assert list(stage.view.devices) == ["b"]
    assert stage.view.devices["b"].labels == {"site": "x"}


def test_everything_that_grows_is_bounded() -> None:
    stage = Stage()
    for at in range(LINES + 5):
        stage.say("event", {"device": "a", "time": NOON + at, "level": "info", "text": str(at)})
    for at in range(COMMANDS + 5):
        stage.say("command", command(str(at), "a", "stop", {}, "queued"))
    for _ in range(RATES + 5):
        stage.say("hub", status())
    view = stage.view
    assert (len(view.log), len(view.commands), len(view.rates)) == (LINES, COMMANDS, RATES)
    assert "0" not in view.commands


def test_what_was_skipped_is_counted() -> None:
    stage = Stage()
    stage.say("skipped", {"count": 12})
    stage.say("skipped", {"count": 3})
    assert stage.view.skipped == 15


def test_commands_and_values_in_words() -> None:
    info = command(
        "1", "a", "set_speed", {"speed": 2950.0}, "succeeded", value={"speed": 2950.0, "ok": True}, late=True
    )
    assert described(info) == "set_speed speed=2950 → speed: 2950, ok: true (late)  by ops"
    assert shown([1, 2.5, "x"]) == "1, 2.5, x"


def test_days_of_anything_stay_within_bounds() -> None:
    stage = Stage()
    stage.device("odd", "open")
    for at in range(40):
        stage.readings("odd", {f"m{at}-{n}": 1.0 for n in range(100)}, NOON + at)
    for at in range(LINES + 50):
        stage.say("event", {"device": "odd", "time": NOON + at, "level": "info", "text": "x" * 3_000})
    for at in range(COMMANDS + 50):
        stage.say("command", command(f"c{at}", "odd", "identify", {"words": "y" * 3_000}, "queued"))
    for _ in range(RATES + 50):
        stage.say("hub", status())
    view = stage.view
    assert len(view.devices["odd"].series) == SERIES
    assert "m39-99" in view.devices["odd"].series
    assert len(view.log) == LINES
    assert max(len(line.text) for line in view.log) == TEXT
    assert len(view.commands) == COMMANDS
    assert len(view.rates) == len(view.acks) == RATES


def test_a_limit_whose_line_has_left_the_log_changes_no_other_line() -> None:
    stage = Stage()
    stage.say("violation", violation(0))
    for at in range(2 * LINES + 10):
        stage.say("event", {"device": "other", "time": NOON, "level": "info", "text": f"line {at}"})
    for again in range(3):
        stage.say("violation", violation(1 + again))
    log = list(stage.view.log)
    assert [line.text for line in log if line.kind == "violation"] == ["flow warn_max ×3: 3 s"]
    assert [line.text for line in log if line.kind == "event"] == [
        f"line {at}" for at in range(LINES + 11, 2 * LINES + 10)
    ]
