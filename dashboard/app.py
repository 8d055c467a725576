"""The dashboard's app: pages, keys that work on all of them, and the feed it is painted from. No logic of its own."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Final

from textual import on
from textual.app import App
from textual.binding import Binding
from textual.screen import Screen

from dashboard.feed import Feed, HubFeed
from dashboard.look import DARK, LIGHT
from dashboard.messages import Changed, OpenDevice
from dashboard.palette import Actions
from dashboard.screens.device import DevicePage
from dashboard.screens.fleet import FleetPage
from dashboard.screens.help import HelpScreen
from dashboard.screens.log import LogPage
from dashboard.screens.page import Page
from dashboard.screens.send import SendScreen
from dashboard.view import View
from hub.client.dial import Target
from hub.client.text import safe_text

USAGE: Final = 2  # exit code: asked for in a way that cannot work


class DashboardApp(App[int]):
    """The live dashboard of one hub."""

    TITLE = "Telemetrio"
    CSS_PATH = "dashboard.tcss"
    COMMANDS: ClassVar = {Actions}
    ENABLE_COMMAND_PALETTE = True
    MODES: ClassVar = {
        "fleet": FleetPage, "device": DevicePage, "log": LogPage,
    }  # fmt: skip
    DEFAULT_MODE = "fleet"
    BINDINGS: ClassVar = [
        Binding("1", "show_page('fleet')", "Fleet", tooltip="All devices"),
        Binding("2", "show_page('device')", "Device", tooltip="The device under the cursor"),
        Binding("3", "show_page('log')", "Log", tooltip="Commands, events, limits, links"),
        Binding("c", "command", "Command", tooltip="Send a command to the device"),
        Binding("space", "pause", "Pause", key_display="␣", tooltip="Hold the picture; the hub goes on"),
        Binding("t", "turn_theme", "Theme", show=False, tooltip="Light or dark"),
        Binding("s", "shoot", "Screenshot", show=False, tooltip="Save a picture of the screen (SVG)"),
        Binding("question_mark", "help", "Help", key_display="?", tooltip="All keys"),
        Binding("q", "quit", "Quit", tooltip="Leave"),
    ]

    def __init__(self, feed: Feed, *, readonly: bool = False) -> None:
        super().__init__()
        self.feed = feed
        self.readonly = readonly
        self.paused = False
        self.view: View = feed.view
        for theme in (DARK, LIGHT):
            self.register_theme(theme)
        self.theme = DARK.name

    def on_mount(self) -> None:
        self.feed.start(lambda: self.post_message(Changed()))

    def on_unmount(self) -> None:
        self.feed.stop()

    def hub_now(self) -> int:
        """The hub's clock, as far as we know it, in us."""
        return self.feed.now() + self.view.skew

    def page(self) -> Page | None:
        """The page in sight, be it under something else."""
        return next((screen for screen in reversed(self.screen_stack) if isinstance(screen, Page)), None)

    def fleet_order(self) -> list[str]:
        """The devices in the order in which the fleet shows them."""
        fleet = next((screen for screen in self._stack_of("fleet") if isinstance(screen, FleetPage)), None)
        return fleet.names if fleet else sorted(self.view.devices)

    def _stack_of(self, mode: str) -> list[Screen[object]]:
        return self._screen_stacks.get(mode, [])

    @on(Changed)
    def look_again(self) -> None:
        """Paint what is new, unless the picture is held."""
        page = self.page()
        if not self.paused and page is not None and page.is_attached:
            self.view = self.feed.view
            page.repaint()

    @on(OpenDevice)
    async def open_device(self, message: OpenDevice) -> None:
        """Show a device's page."""
        await self.switch_mode("device")
        page = self.page()
        if isinstance(page, DevicePage):
            page.open(message.device)

    async def action_show_page(self, mode: str) -> None:
        page = self.page()
        target = page.target() if page is not None else None
        if mode == "device" and target is not None:
            await self.open_device(OpenDevice(target))
        elif len(self.screen_stack) == 1:
            await self.switch_mode(mode)

    def action_command(self) -> None:
        page = self.page()
        name = page.target() if page is not None else None
        device = self.view.devices.get(name or "")
        if device is None:
            self.say("Put the cursor on a device first.", "warning")
        elif self.readonly:
            self.say("The dashboard runs with --readonly: no commands.", "warning")
        elif not self.view.may_command:
            role = self.view.greeting.role if self.view.greeting else "unknown"
            self.say(f"This token's role is {role}; commands need operator or admin.", "warning")
        elif (model := self.view.models.get(device.model)) is None or not model.commands:
            self.say(f"The model {safe_text(device.model, 40)} has no commands.", "warning")
        else:
            self.push_screen(SendScreen(device.name, model))

    def action_pause(self) -> None:
        self.paused = not self.paused
        page = self.page()
        if not self.paused:
            self.look_again()
        elif page is not None:
            page.repaint()

    def action_turn_theme(self) -> None:
        self.theme = LIGHT.name if self.theme == DARK.name else DARK.name
        page = self.page()
        if page is not None:
            page.call_after_refresh(page.repaint)

    def action_shoot(self) -> None:
        path = Path(f"telemetrio-{self.feed.now() // 1_000_000}.svg")
        try:
            saved = self.save_screenshot(str(path))
        except OSError as error:
            self.say(
                f"Cannot save {path}: {error.strerror}. Start the dashboard in a directory you may write to.", "error"
            )
        else:
            self.say(f"Saved {saved}")

    def action_help(self) -> None:
        sections = [("Everywhere", self.BINDINGS), ("Fleet", FleetPage.BINDINGS), ("Device", DevicePage.BINDINGS),
                    ("Log", LogPage.BINDINGS), ("Command form", SendScreen.BINDINGS)]  # fmt: skip
        self.push_screen(HelpScreen(sections))

    def action_help_quit(self) -> None:
        """Ctrl-C where nothing is marked: somebody may want to copy, so it does not leave, but says what does."""
        self.say("q quits; from a form or a search: Esc first.")

    def say(self, text: str, severity: str = "information") -> None:
        """A short word in the corner."""
        self.notify(text, severity=severity, timeout=4, markup=False)  # type: ignore[arg-type]


def run(target: Target, *, readonly: bool = False) -> int:
    """Show the dashboard of a hub until the user quits; the exit code."""
    if not all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        print(
            "telemetrio dash needs a terminal for input, output and errors; "
            "without one use telemetrio tail, telemetrio query or telemetrio hub status",
            file=sys.stderr,
        )
        return USAGE
    feed = HubFeed(target)
    app = DashboardApp(feed, readonly=readonly)
    try:
        with _asked_to_end(app):
            app.run()
    finally:
        feed.stop()
    return app.return_code or 0


@contextmanager
def _asked_to_end(app: DashboardApp) -> Iterator[None]:
    """SIGTERM and SIGHUP leave as q does, so that the terminal is given back as it was."""

    def leave(*_: object) -> None:
        app.call_later(app.exit)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
