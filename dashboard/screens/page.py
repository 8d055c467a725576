"""What the three pages have in common: the strip, the footer, and being painted from a view."""

from typing import TYPE_CHECKING, ClassVar, Final, cast

from textual.app import ComposeResult
from textual.binding import Binding
from textual.events import Resize
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Footer

from dashboard.look import Look, look_of
from dashboard.view import View
from dashboard.widgets.hub_strip import HubStrip

if TYPE_CHECKING:
    from dashboard.app import DashboardApp

WIDE: Final = 120  # cells from which a page has room to spare
TALL: Final = 40  # lines, likewise


class Page(Screen[None]):
    """A full page. It holds no state of the fleet: ``paint`` shows what it is given."""

    BINDINGS: ClassVar = [
        Binding("tab", "app.focus_next", show=False),
        Binding("shift+tab", "app.focus_previous", show=False),
    ]
    TITLE_OF_PAGE = ""

    def compose(self) -> ComposeResult:
        yield HubStrip()
        yield from self.body()
        yield Footer(compact=True)

    def body(self) -> ComposeResult:
        """What stands between strip and footer."""
        yield from ()

    def paint(self, view: View, now: int) -> None:
        """Show ``view`` at ``now`` (us, hub time)."""

    def target(self) -> str | None:
        """The device that a command would go to from here."""
        return None

    def repaint(self) -> None:
        """Paint what the app has now."""
        view = self.dashboard.view
        now = self.dashboard.hub_now()
        self.query_one(HubStrip).show(view, now, paused=self.dashboard.paused, readonly=self.dashboard.readonly)
        self.paint(view, now)

    def keep_focus(self, widget: Widget) -> None:
        """Give ``widget`` the keys when nobody has them: what was hidden while there was nothing to show lost them."""
        if self.focused is None and widget.display:
            widget.focus()

    @property
    def dashboard(self) -> "DashboardApp":
        """The app, as what it is."""
        return cast("DashboardApp", self.app)

    @property
    def look(self) -> Look:
        """The styles of the theme."""
        return look_of(self.app)

    @property
    def wide(self) -> bool:
        """Is there room to spare?"""
        return self.size.width >= WIDE

    @property
    def tall(self) -> bool:
        """Is there room below, too?"""
        return self.size.height >= TALL

    def _fit(self) -> None:
        self.set_class(self.wide, "-wide")
        self.set_class(self.wide and self.tall, "-big")
        self.query_one(Footer).show_command_palette = self.wide  # eighty cells are for the page's own keys

    def on_mount(self) -> None:
        self.call_after_refresh(self.repaint)

    def on_screen_resume(self) -> None:
        self._fit()
        self.call_after_refresh(self.repaint)

    def on_resize(self, _: Resize) -> None:
        self._fit()
        self.call_after_refresh(self.repaint)
