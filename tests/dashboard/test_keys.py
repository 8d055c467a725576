"""Every key, pressed."""

from pathlib import Path

import pytest
from textual.command import CommandList, CommandPalette
from textual.pilot import Pilot
from textual.widgets import Input, Tabs

from dashboard.app import DashboardApp
from dashboard.points import SPANS
from dashboard.screens.device import DevicePage
from dashboard.screens.fleet import FleetPage
from dashboard.screens.help import HelpScreen
from dashboard.screens.log import LogPage
from dashboard.view import Link
from dashboard.widgets.history import History
from dashboard.widgets.live_table import LiveTable
from tests.dashboard.conftest import LARGE, SMALL, play, press, settle, text_of
from tests.dashboard.stage import NOON, SECOND, Stage, ledger, small_fleet, status

Pilots = Pilot[int]


def test_the_fleet_is_there_at_once() -> None:
    async def scene(app: DashboardApp, pilot: Pilots) -> None:
        shown = text_of(app)
        assert "● aq-0001" in shown
        assert "◐ 1 stale" in shown
        assert "1.42k/s" in shown
        assert app.focused is not None
        assert app.focused.id == "devices"

    play(small_fleet(), scene)


def test_moving_and_opening_and_back_by_letters_and_arrows() -> None:
    async def scene(app: DashboardApp, pilot: Pilots) -> None:
        await press(app, pilot, "j", "down", "k", "enter")
        assert isinstance(app.screen, DevicePage)
        assert "● aq-0002" in text_of(app)
        await press(app, pilot, "escape")
        assert isinstance(app.screen, FleetPage)
        await press(app, pilot, "G", "enter")
        assert "ws-0005" in text_of(app)
        await press(app, pilot, "1", "g", "2")
        assert "aq-0001  air-quality" in text_of(app)

    play(small_fleet(), scene)


def test_a_search_narrows_as_one_types_and_escape_ends_it() -> None:
    async def scene(app: DashboardApp, pilot: Pilots) -> None:
        await press(app, pilot, "slash", *"pump")
        assert "5 of 25 devices" in text_of(app)
        assert "aq-0001" not in text_of(app)
        await press(app, pilot, "enter", "enter")
        assert "pump-0001  pump" in text_of(app)
        await press(app, pilot, "escape")
        assert "5 of 25 devices" in text_of(app)
        await press(app, pilot, "escape")
        assert "aq-0001" in text_of(app)
        assert not app.screen.query_one("#find").display

    play(small_fleet(), scene)


def test_a_search_that_finds_nothing_says_how_to_go_on() -> None:
    async def scene(app: DashboardApp, pilot: Pilots) -> None:
        await press(app, pilot, "slash", *"zzz")
        assert "No device matches. Esc" in text_of(app)
        await press(app, pilot, "enter", "c")
        assert "Put the cursor on a device first" in text_of(app)

    play(small_fleet(), scene)


def test_an_empty_fleet_says_how_to_start_one() -> None:
    stage = Stage()
    stage.say("hub", status(devices=0, links=0))

    async def scene(app: DashboardApp, pilot: Pilots) -> None:
        assert "telemetrio devices" in text_of(app)
        await press(app, pilot, "2")
        assert isinstance(app.screen, DevicePage)
        assert "No device is open" in text_of(app)

    play(stage, scene)


def test_keys_work_on_devices_that_came_after_the_start() -> None:
    stage = Stage()

    async def scene(app: DashboardApp, pilot: Pilots) -> None:
        await press(app, pilot, "2")
        assert "No device is open" in text_of(app)
        await press(app, pilot, "1")
        stage.device("pump-1", "pump")
        stage.readings("pump-1", {"flow": 1.0, "pressure": 2.0})
        stage.tick()
        await settle(app, pilot)
        await press(app, pilot, "enter", "down")
        assert isinstance(app.screen, DevicePage)
        assert app.screen.query_one("#metrics", LiveTable).key_at_cursor == "pressure"

    play(stage, scene)


def test_sorting_by_key_and_by_a_click_on_a_title() -> None:
    async def scene(app: DashboardApp, pilot: Pilots) -> None:
        fleet = app.screen
        assert isinstance(fleet, FleetPage)
        await press(app, pilot, "o", "O")
        assert (fleet.by, fleet.reverse) == ("model", True)
        assert fleet.names[0] == "ws-0001"
        await press(app, pilot, "o")
        assert fleet.names[:2] == ["frz-0003", "pump-0004"]
        await pilot.click("#devices", offset=(4, 0))
        await settle(app, pilot)
        assert (fleet.by, fleet.reverse) == ("device", False)
        await pilot.click("#devices", offset=(4, 0))
        await settle(app, pilot)
        assert fleet.names[0] == "ws-0005"

    play(small_fleet(), scene)


def test_the_cursor_stays_with_its_device_when_the_order_changes() -> None:
    async def scene(app: DashboardApp, pilot: Pilots) -> None:
        await press(app, pilot, "j", "j", "O")
        assert app.screen.query_one("#devices", LiveTable).key_at_cursor == "aq-0003"

    play(small_fleet(), scene)


def test_the_mouse_opens_a_device() -> None:
    async def scene(app: DashboardApp, pilot: Pilots) -> None:
        await pilot.click("#devices", offset=(6, 3))
        await pilot.click("#devices", offset=(6, 3))
        await settle(app, pilot)
        assert isinstance(app.screen, DevicePage)
        assert app.screen.name_of_device == "aq-0003"

    play(small_fleet(), scene)


def test_pause_holds_the_picture_and_lets_it_go_again() -> None:
    stage = small_fleet()

    async def scene(app: DashboardApp, pilot: Pilots) -> None:
        await press(app, pilot, "space")
        assert "‖ paused" in text_of(app)
        stage.readings("aq-0001", {"co2": 4321}, NOON + SECOND)
        stage.tick(1)
        await settle(app, pilot)
        assert "4,321" not in text_of(app)
        await press(app, pilot, "space")
        assert "4,321" in text_of(app)
        assert "paused" not in text_of(app)

    play(stage, scene)


def test_what_the_hub_says_is_seen() -> None:
    stage = small_fleet()

    async def scene(app: DashboardApp, pilot: Pilots) -> None:
        stage.readings("aq-0001", {"co2": 777}, NOON + SECOND)
        stage.device("zz-0001", "pump")
        stage.tick(1)
        await settle(app, pilot)
        assert "777 ppm" in text_of(app)
        assert "26 devices" in text_of(app)

    play(stage, scene)


def test_light_and_dark() -> None:
    async def scene(app: DashboardApp, pilot: Pilots) -> None:
        await press(app, pilot, "t")
        assert app.theme == "telemetrio-light"
        await press(app, pilot, "t")
        assert app.theme == "telemetrio-dark"

    play(small_fleet(), scene)


def test_a_screenshot_is_a_file_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    async def scene(app: DashboardApp, pilot: Pilots) -> None:
        await press(app, pilot, "s")
        monkeypatch.setattr(app, "save_screenshot", refuse)
        await press(app, pilot, "s")
        assert "Cannot save" in text_of(app)

    def refuse(_: str) -> str:
        raise PermissionError(13, "Permission denied")

    play(small_fleet(), scene)
    [picture] = tmp_path.glob("telemetrio-*.svg")
    assert picture.read_text().startswith("<svg")


def test_help_lists_every_key_that_has_a_name() -> None:
    async def scene(app: DashboardApp, pilot: Pilots) -> None:
        await press(app, pilot, "question_mark")
        assert isinstance(app.screen, HelpScreen)
        shown = text_of(app)
        for words in (
            "Send a command",
            "Hold the picture",
            "Light or dark",
            "Plot a shorter",
            "Only",
            "Leave",
            "revoked",
        ):
            assert words.lower() in shown.lower() or words == "Only"
        await press(app, pilot, "escape")
        assert isinstance(app.screen, FleetPage)

    play(small_fleet(), scene, LARGE)


def test_the_palette_does_what_keys_do_and_opens_devices() -> None:
    async def scene(app: DashboardApp, pilot: Pilots) -> None:
        await choose(app, pilot, "light or")
        assert app.theme == "telemetrio-light"
        await choose(app, pilot, "pump-0003")
        assert isinstance(app.screen, DevicePage)
        assert app.screen.name_of_device == "pump-0003"
        await choose(app, pilot, "shorter or longer")
        assert app.screen.span == SPANS[0]

    async def choose(app: DashboardApp, pilot: Pilots, words: str) -> None:
        """Type into the palette, and take its first hit once it has searched."""
        await press(app, pilot, "ctrl+p", *words)
        found = app.screen.query_one(CommandList)
        while words.split()[0] not in str(found.get_option_at_index(0).prompt if found.option_count else "").lower():
            await pilot.pause()
        await press(app, pilot, "enter")
        while isinstance(app.screen, CommandPalette):
            await pilot.pause()
        await settle(app, pilot)

    play(small_fleet(), scene)


def test_the_device_page_plots_history_then_live_for_the_chosen_metric_and_span() -> None:
    stage = small_fleet()

    async def scene(app: DashboardApp, pilot: Pilots) -> None:
        await press(app, pilot, "enter")
        page = app.screen
        assert isinstance(page, DevicePage)
        assert stage.asked[-1].metrics == ("co2",)
        drawn = page.query_one(History)._datasets
        assert len(drawn[-1].x) > 50
        await press(app, pilot, "down", "right_square_bracket")
        assert (stage.asked[-1].metrics, page.span) == (("pm2_5",), SPANS[2])
        await press(app, pilot, *["h"] * 9)
        assert page.span == SPANS[0]
        assert stage.asked[-1].every is None
        await press(app, pilot, *["right"] * 9)
        assert page.span == SPANS[-1]
        await press(app, pilot, *["left"] * 5)
        stage.readings("aq-0001", {"pm2_5": 999.0}, NOON + 2 * SECOND)
        stage.tick(2)
        await settle(app, pilot)
        newest = page.query_one(History)._datasets[-1]
        assert newest.y[-1] == 999.0
        await press(app, pilot, "n")
        assert page.name_of_device == "aq-0002"
        await press(app, pilot, "p", "p")
        assert page.name_of_device == "ws-0005"

    play(stage, scene)


def test_the_device_page_shows_ledger_labels_and_twin() -> None:
    async def scene(app: DashboardApp, pilot: Pilots) -> None:
        await press(app, pilot, "enter")
        shown = text_of(app)
        for words in (
            "✓ balanced",
            "waiting at device",
            "9,609",
            "out_of_range",
            "10.0.3.17:51234",
            "south",
            "(reported)",
        ):
            assert words in shown

    play(small_fleet(), scene, LARGE)


def test_a_store_that_does_not_answer_is_told_and_the_live_curve_goes_on() -> None:
    stage = small_fleet()

    async def scene(app: DashboardApp, pilot: Pilots) -> None:
        async def refuse(_: object) -> object:
            from hub.client.errors import HubFailure

            raise HubFailure("limit", "the query took more than 30 s; ask for less")

        stage.ask = refuse  # type: ignore[method-assign, assignment]
        await press(app, pilot, "enter")
        assert "the query took" in text_of(app)

    play(stage, scene, LARGE)


def test_the_log_by_kind_by_words_and_to_the_device() -> None:
    async def scene(app: DashboardApp, pilot: Pilots) -> None:
        await press(app, pilot, "3")
        assert isinstance(app.screen, LogPage)
        assert "rain gauge does not answer" in text_of(app)
        await press(app, pilot, "v")
        assert app.screen.query_one(Tabs).active == "kind-command"
        assert "rain gauge" not in text_of(app)
        assert "set_speed speed=2950" in text_of(app)
        await press(app, pilot, "v", "v", "v", "v", "slash", *"aq-0003", "enter")
        assert "offline: idle" in text_of(app)
        assert "rain gauge" not in text_of(app)
        await press(app, pilot, "enter")
        assert isinstance(app.screen, DevicePage)
        assert app.screen.name_of_device == "aq-0003"
        await press(app, pilot, "3", "escape")
        assert "rain gauge" in text_of(app)
        await press(app, pilot, "escape")
        assert isinstance(app.screen, FleetPage)

    play(small_fleet(), scene)


def test_letters_typed_into_a_search_are_letters() -> None:
    async def scene(app: DashboardApp, pilot: Pilots) -> None:
        await press(app, pilot, "slash", *"q1c t?")
        assert app.screen.query_one("#find", Input).value == "q1c t?"
        assert app.is_running

    play(small_fleet(), scene)


def test_a_lost_link_is_told_with_what_is_done_about_it() -> None:
    stage = small_fleet()

    async def scene(app: DashboardApp, pilot: Pilots) -> None:
        stage.fold.link(Link("lost", "nobody listens on 10.0.0.1:8443; start the hub", 3.2))
        stage.tick()
        await settle(app, pilot)
        assert "○ lost" in text_of(app)
        assert "start the hub" in text_of(app)
        assert "dialling again in 3.2 s" in text_of(app)
        stage.fold.link(Link("live"))
        stage.tick()
        await settle(app, pilot)
        assert "start the hub" not in text_of(app)

    play(stage, scene)


def test_an_unhealthy_follower_and_problems_of_the_hub_are_told() -> None:
    stage = small_fleet()
    followers = [{"name": "store", "cursor": 1, "lag": 99_999, "healthy": False, "error": "disk full"}]
    stage.say("hub", status(followers=followers, problems=["clock untrusted"]))

    async def scene(app: DashboardApp, pilot: Pilots) -> None:
        assert "follower store: disk full" in text_of(app)
        assert "clock untrusted" in text_of(app)

    play(stage, scene)


def test_any_size_of_terminal_will_do() -> None:
    async def scene(app: DashboardApp, pilot: Pilots) -> None:
        for size in ((20, 8), (300, 90), SMALL):
            await pilot.resize_terminal(*size)
            for key in ("1", "2", "3"):
                await press(app, pilot, key)
        assert "rain gauge" in text_of(app)

    play(small_fleet(), scene)


def test_q_leaves_and_the_feed_is_stopped() -> None:
    stage = small_fleet()

    async def scene(app: DashboardApp, pilot: Pilots) -> None:
        await pilot.press("q")

    app = play(stage, scene)
    assert (stage.started, stage.stopped) == (1, 1)
    assert app.return_code == 0


@pytest.mark.parametrize("keys", [(), ("slash", "p")], ids=["fleet", "while one types"])
def test_ctrl_c_says_which_key_leaves(keys: tuple[str, ...]) -> None:
    async def scene(app: DashboardApp, pilot: Pilots) -> None:
        await press(app, pilot, *keys, "ctrl+c")
        shown = text_of(app)
        assert "q quits; from a form or a search: Esc first." in " ".join(shown.split())
        assert "ctrl+q" not in shown
        assert app.return_code is None

    play(small_fleet(), scene, LARGE)


def test_limits_that_go_on_do_not_push_commands_and_events_out_of_sight() -> None:
    stage = small_fleet()

    async def scene(app: DashboardApp, pilot: Pilots) -> None:
        for second in range(60):
            body = {"device": "pump-0001", "metric": "flow", "code": "warn_max", "text": "9.1 is above 9"}
            stage.say("violation", body | {"count": 2, "time": NOON + second * SECOND})
        stage.tick()
        await press(app, pilot, "3")
        shown = text_of(app)
        assert "rain gauge" in shown
        assert "set_speed" in shown
        assert shown.count("flow warn_max ×120: ") == 2, "in the table, and all of it below"

    play(stage, scene)


def test_a_page_that_grew_while_another_was_in_sight_shows_all_of_its_strip() -> None:
    async def scene(app: DashboardApp, pilot: Pilots) -> None:
        await press(app, pilot, "enter", "1")
        await pilot.resize_terminal(*LARGE)
        await settle(app, pilot)
        await press(app, pilot, "2")
        strip = text_of(app).splitlines()[:2]
        assert "devices online" in strip[0]
        assert "24 of 25" in strip[1]

    play(small_fleet(), scene)


def test_page_keys_reach_the_end_of_a_ledger_that_a_small_terminal_cuts() -> None:
    async def scene(app: DashboardApp, pilot: Pilots) -> None:
        await press(app, pilot, "enter")
        assert "software" not in text_of(app)
        await press(app, pilot, "pagedown", "pagedown", "pagedown")
        assert "software" in text_of(app)
        await press(app, pilot, "pageup", "pageup", "pageup")
        assert "LEDGER" in text_of(app)

    play(small_fleet(), scene)


def test_a_problem_is_told_to_its_end_at_eighty_cells() -> None:
    stage = small_fleet()
    why = "the certificate of hub.example.org:8443 is of a CA that is not trusted here (unable to get local issuer "
    stage.fold.link(Link("lost", f"{why}certificate); pass its CA with --ca FILE", 3.2))

    async def scene(app: DashboardApp, pilot: Pilots) -> None:
        shown = text_of(app)
        assert "--ca FILE" in shown
        assert "dialling again in 3.2 s" in shown

    play(stage, scene)


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_device_that_catches_up_says_so_on_its_page(size: tuple[int, int]) -> None:
    stage = Stage()
    stage.device("pump-1", "pump", waiting=1_240, catch_up=95.0)
    stage.readings("pump-1", {"flow": 1.5})

    async def scene(app: DashboardApp, pilot: Pilots) -> None:
        assert "↑1k 1m" in text_of(app)
        await press(app, pilot, "enter", "pagedown", "pagedown", "pagedown")
        shown = text_of(app)
        assert "1,240 batches" in shown
        assert "1.58 min" in shown

    play(stage, scene, size)


def test_how_far_a_device_is_settled_is_as_new_as_its_ledger_not_as_its_link() -> None:
    stage = Stage()
    stage.device("pump-1", "pump")
    stage.readings("pump-1", {"flow": 1.5})
    plain = stage.detail
    stage.detail = lambda name: {**plain(name), "through": 54_321}  # type: ignore[method-assign]

    async def scene(app: DashboardApp, pilot: Pilots) -> None:
        await press(app, pilot, "enter")
        assert "54,321" in text_of(app)

    play(stage, scene, LARGE)


def test_each_epoch_has_its_own_equations_and_what_is_wrong_with_an_old_one_is_told() -> None:
    stage = Stage()
    stage.device("pump-1", "pump")
    stage.readings("pump-1", {"flow": 1.5})
    plain = stage.detail
    old = ledger("pump-1", epoch=2, closed=True, lost=[[7, 9]], received=777, unknown_above=True, balanced=False,
                 moved=[[11, 12]], moved_to=3, problem="readings do not add up")  # fmt: skip
    stage.detail = lambda name: {**plain(name), "ledger": [old, ledger(name)]}  # type: ignore[method-assign]

    async def scene(app: DashboardApp, pilot: Pilots) -> None:
        await press(app, pilot, "enter")
        shown = text_of(app)
        words = "epoch 3|9,609|epoch 2 (closed)|777|✗ not balanced|do not add up|moved to epoch 3"
        for word in words.split("|"):
            assert word in shown
        assert shown.index("epoch 3") < shown.index("epoch 2")
        assert "above: unknown" in shown

    play(stage, scene, LARGE)


def test_a_device_of_many_epochs_shows_the_newest_and_sums_up_the_others() -> None:
    stage = Stage()
    stage.device("pump-1", "pump")
    stage.readings("pump-1", {"flow": 1.5})
    plain = stage.detail
    entries = [ledger("pump-1", epoch=epoch) for epoch in range(1, 41)]
    stage.detail = lambda name: {**plain(name), "ledger": entries}  # type: ignore[method-assign]

    async def scene(app: DashboardApp, pilot: Pilots) -> None:
        await press(app, pilot, "enter")
        assert "epoch 40" in text_of(app)
        await press(app, pilot, *["pagedown"] * 3)
        assert "35 older: all balanced, nothing lost" in text_of(app)

    play(stage, scene, LARGE)


def test_every_page_of_a_wide_terminal_has_the_whole_strip() -> None:
    async def scene(app: DashboardApp, pilot: Pilots) -> None:
        for key in ("2", "3", "1", "2"):
            await press(app, pilot, key)
            assert "24 of 25" in text_of(app).splitlines()[1], key

    play(small_fleet(), scene, LARGE)
