"""The command form."""

from textual.pilot import Pilot
from textual.widgets import Select

from dashboard.app import DashboardApp
from dashboard.screens.fleet import FleetPage
from dashboard.screens.send import SendScreen
from hub.client.errors import HubFailure
from hub.wire.shapes import CommandInfo
from tests.dashboard.conftest import LARGE, play, press, settle, text_of
from tests.dashboard.stage import Stage, small_fleet

Pilots = Pilot[int]


def test_a_command_is_chosen_filled_in_sent_and_its_states_shown() -> None:
    stage = small_fleet()

    async def scene(app: DashboardApp, pilot: Pilots) -> None:
        await press(app, pilot, "slash", *"pump-0002", "enter", "c")
        assert isinstance(app.screen, SendScreen)
        assert "Command for pump-0002" in text_of(app)
        await press(app, pilot, "down", "down")
        assert "Run faster or slower" in text_of(app)
        assert "300 to 3600" in text_of(app)
        await press(app, pilot, "enter", *"1450", "enter")
        assert stage.sent == [("pump-0002", "set_speed", {"speed": 1450.0})]
        shown = text_of(app)
        assert "… queued › → sent › ↔ acknowledged › ✓ succeeded" in shown
        assert "done: true" in shown
        await press(app, pilot, "escape")
        assert isinstance(app.screen, FleetPage)
        await press(app, pilot, "3")
        assert "set_speed speed=1450" in text_of(app)

    play(stage, scene)


def test_what_is_not_allowed_is_told_below_the_field_and_not_sent() -> None:
    stage = small_fleet()

    async def scene(app: DashboardApp, pilot: Pilots) -> None:
        await press(app, pilot, "slash", *"pump-0002", "enter", "c", "down", "down", "enter", *"9", "ctrl+s")
        assert "a number from 300 to 3600" in text_of(app)
        await press(app, pilot, "backspace", "ctrl+s")
        assert "▲" in text_of(app)
        await press(app, pilot, *"1e9", "enter")
        assert stage.sent == []
        await press(app, pilot, *["backspace"] * 3, *"400", "enter")
        assert stage.sent[0][2] == {"speed": 400.0}

    play(stage, scene)


def test_a_command_without_arguments_is_sent_by_enter() -> None:
    stage = small_fleet()

    async def scene(app: DashboardApp, pilot: Pilots) -> None:
        await press(app, pilot, "slash", *"pump-0001", "enter", "c", "enter")
        assert stage.sent == [("pump-0001", "start", {})]

    play(stage, scene)


def test_choices_and_defaults_come_from_the_model() -> None:
    stage = small_fleet()

    async def scene(app: DashboardApp, pilot: Pilots) -> None:
        await press(app, pilot, "slash", *"ws-0001", "enter", "c", "down")
        assert app.screen.query_one(Select).value == "temperature"
        await press(app, pilot, "down")
        await press(app, pilot, "ctrl+s")
        assert stage.sent == [("ws-0001", "identify", {"seconds": 10})]

    play(stage, scene)


def test_buttons_work_with_the_mouse() -> None:
    stage = small_fleet()

    async def scene(app: DashboardApp, pilot: Pilots) -> None:
        await press(app, pilot, "slash", *"pump-0001", "enter", "c")
        await pilot.click("#send")
        await settle(app, pilot)
        assert stage.sent == [("pump-0001", "start", {})]
        await pilot.click("#close")
        await settle(app, pilot)
        assert isinstance(app.screen, FleetPage)

    play(stage, scene)


def test_what_the_hub_or_the_device_refuses_is_shown() -> None:
    stage = small_fleet()

    def refuse(first: CommandInfo) -> list[CommandInfo]:
        raise HubFailure("unknown_device", "no device is called pump-0001; see telemetrio devices ls")

    def unreachable(first: CommandInfo) -> list[CommandInfo]:
        return [first, {**first, "state": "unreachable"}]

    async def scene(app: DashboardApp, pilot: Pilots) -> None:
        await press(app, pilot, "slash", *"pump-0001", "enter", "c")
        stage.answer = refuse
        await press(app, pilot, "enter")
        assert "✗ no device is called pump-0001" in text_of(app)
        stage.answer = unreachable
        await press(app, pilot, "ctrl+s")
        assert "⊘ unreachable" in text_of(app)

    play(stage, scene, LARGE)


def test_a_command_that_is_under_way_says_that_it_waits() -> None:
    stage = small_fleet()
    stage.answer = lambda first: [first, {**first, "state": "sent"}]

    async def scene(app: DashboardApp, pilot: Pilots) -> None:
        await press(app, pilot, "slash", *"pump-0001", "enter", "c", "enter")
        assert "waiting for the device" in text_of(app)

    play(stage, scene)


def test_read_only_sends_nothing_and_says_why() -> None:
    async def by_flag(app: DashboardApp, pilot: Pilots) -> None:
        await press(app, pilot, "c")
        assert not isinstance(app.screen, SendScreen)
        assert "--readonly" in text_of(app)
        assert "read only" in text_of(app)

    async def by_role(app: DashboardApp, pilot: Pilots) -> None:
        await press(app, pilot, "c")
        assert "role is viewer" in text_of(app)

    play(small_fleet(), by_flag, readonly=True)
    viewer = Stage("viewer")
    viewer.device("a", "pump")
    play(viewer, by_role)


def test_a_model_without_commands_says_so() -> None:
    stage = Stage()
    stage.device("box", "of-another-hub")

    async def scene(app: DashboardApp, pilot: Pilots) -> None:
        await press(app, pilot, "c")
        assert "of-another-hub has no" in text_of(app)

    play(stage, scene)


def test_an_answer_that_comes_when_the_form_is_closed_disturbs_nothing() -> None:
    stage = small_fleet()
    late: list[CommandInfo] = []

    def hesitant(first: CommandInfo) -> list[CommandInfo]:
        late.append({**first, "state": "succeeded"})
        return [first]

    stage.answer = hesitant

    async def scene(app: DashboardApp, pilot: Pilots) -> None:
        await press(app, pilot, "slash", *"pump-0002", "enter", "c", "enter")
        form = app.screen
        assert isinstance(form, SendScreen)
        await press(app, pilot, "escape")
        form._follow(late[0], form._run)  # as the feed's word does that was on its way
        await settle(app, pilot)
        assert isinstance(app.screen, FleetPage)

    play(stage, scene)
