"""Text of devices steers no terminal, is read as no markup, and crashes nothing."""

import io
import re
from typing import Any

import pytest
from textual.app import App
from textual.drivers.headless_driver import HeadlessDriver
from textual.pilot import Pilot

from dashboard.app import DashboardApp
from dashboard.messages import OpenDevice
from dashboard.screens.device import DevicePage
from tests.dashboard.conftest import LARGE, SMALL, play, press, settle, text_of
from tests.dashboard.stage import NOON, Stage, command, ledger, status

Pilots = Pilot[int]

CORPUS = (
    "[/]", "[bold red]x[/bold red]", "[@click=app.quit]x[/]", "[link=http://x]y[/link]", "\\[", "[",
    "\x1b]52;c;cm0gLXJm\x07", "\x1b]0;title\x07", "\x1b[2J\x1b[31m", "\x9b31m", "\x90q\x9c", "\x07\x08\x00\x7f",
    "a\nb\rc\td", "\u202eright to left\u202c", "\u2066\u2069\u200b\ufeff", "\u2028\u2029", "👩‍👩‍👧‍👦" * 9,
    "漢字" * 40, "e\u0301" * 30, "x" * 250,
)  # fmt: skip
UNSAFE = re.compile("[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029\u200b\ufeff]")


def poisoned(*texts: str) -> Stage:
    """A fleet in which every text that a device, an operator or the hub may choose is one of these."""
    stage = Stage()
    for text in texts:
        name = text
        stage.device(name, text, software=text, address=text, labels={text: text, "a": text})
        stage.readings(name, {text: text, "number": 1.5, "state": text})
        stage.fold.units(name, [["number", text, "float64"], [text, text, "text"]])
        stage.say("event", {"device": name, "time": NOON, "level": text, "text": text})
        stage.say("violation", {"device": name, "metric": text, "code": text, "count": 2, "text": text, "time": NOON})
        stage.say("command", command(text, name, text, {text: text}, "failed", value={text: [text]}, by=text))
        stage.say("presence", {"device": name, "model": text, "state": "offline", "at": NOON, "reason": text})
        stage.say("presence", {"device": name, "model": text, "state": "online", "at": NOON, "reason": text})
    stage.device("pump-1", "pump", labels={texts[0]: texts[0]})
    stage.readings("pump-1", {"flow": 1.5, texts[0]: 2.5, "state": texts[0]})
    followers = [{"name": text, "cursor": 0, "lag": 1, "healthy": False, "error": text} for text in texts[:2]]
    stage.say("hub", status(followers=followers, problems=[texts[0]], version=texts[0]))
    plain = stage.detail

    def detail(name: str) -> Any:
        text = name
        entry = ledger(name, rejected={text: 3}, balanced=False, problem=text)
        return {**plain(name), "ledger": [entry], "reported": {text: text}, "desired": {text: {text: text}}}

    stage.detail = detail  # type: ignore[method-assign]
    return stage


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_no_text_of_a_device_reaches_the_terminal_as_it_is(size: tuple[int, int]) -> None:
    async def scene(app: DashboardApp, pilot: Pilots) -> None:
        for keys in (("o",), ("o",), ("G",), ("3",), ("G",), ("v",), ("1",), ("slash", "a", "enter"), ("escape",)):
            await press(app, pilot, *keys)
            assert not UNSAFE.search(text_of(app).replace("\n", ""))
        assert app.is_running

    play(poisoned(*CORPUS), scene, size)


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_no_text_of_a_device_steers_its_own_page(size: tuple[int, int]) -> None:
    async def scene(app: DashboardApp, pilot: Pilots) -> None:
        for text in CORPUS if size == LARGE else CORPUS[::4]:
            app.post_message(OpenDevice(text))
            await settle(app, pilot)
            assert isinstance(app.screen, DevicePage)
            assert not UNSAFE.search(text_of(app).replace("\n", ""))
        await press(app, pilot, "down", "c", "ctrl+p", "x")
        assert app.is_running

    play(poisoned(*CORPUS), scene, size)


def test_markup_is_shown_as_it_was_written() -> None:
    async def scene(app: DashboardApp, pilot: Pilots) -> None:
        assert "[bold red]x[/bold red]" in text_of(app)
        await press(app, pilot, "3")
        assert "[bold red]x[/bold red]" in text_of(app)

    play(poisoned("[bold red]x[/bold red]"), scene, LARGE)


def test_a_hostile_answer_to_a_command_is_shown_safely() -> None:
    stage = Stage()
    stage.device("pump-1", "pump")
    stage.answer = lambda first: [first, {**first, "state": "failed", "value": "\x1b]52;c;eA==\x07[/]"}]

    async def scene(app: DashboardApp, pilot: Pilots) -> None:
        await press(app, pilot, "c", "enter")
        assert "\\e]52;c;eA==\\x07[/]" in text_of(app)

    play(stage, scene)


def test_the_bytes_written_to_the_terminal_hold_no_escape_of_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr(HeadlessDriver, "write", lambda _, data: written.write(data))
    monkeypatch.setattr(App, "_display", shown_for_real(App._display))
    stage = poisoned("\x1b]52;c;cm0gLXJm\x07\x9b31m\x1b]0;owned\x07")

    async def scene(app: DashboardApp, pilot: Pilots) -> None:
        await press(app, pilot, "3")
        await press(app, pilot, "2")
        await settle(app, pilot)

    play(stage, scene, LARGE)
    assert "52;c;cm0gLXJm" in written.getvalue()  # it is there, as text
    assert "\x1b]52" not in written.getvalue()
    assert "\x1b]0" not in written.getvalue()
    assert "\x9b" not in written.getvalue()


def shown_for_real(display: Any) -> Any:
    """Textual writes nothing when headless; make it think that it is not, while it writes a frame."""

    def show(self: App[int], screen: Any, renderable: Any) -> None:
        driver = self._driver
        assert driver is not None
        kind = type(driver)
        held = kind.is_headless
        kind.is_headless = property(lambda _: False)  # type: ignore[method-assign, assignment]
        try:
            display(self, screen, renderable)
        finally:
            kind.is_headless = held  # type: ignore[method-assign]

    return show
