"""The command palette: everything that a key does, by name, and every device."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

from rich.text import Text
from textual.binding import Binding
from textual.command import DiscoveryHit, Hit, Hits, Provider

from dashboard.messages import OpenDevice
from hub.client.text import safe_text

if TYPE_CHECKING:
    from dashboard.app import DashboardApp

MOST_DEVICES = 20  # found at once; who types one more letter finds the others


class Actions(Provider):
    """What the bindings of app and page do."""

    def _actions(self) -> Iterator[tuple[str, str, str]]:
        """Action, title, what it does."""
        app = cast("DashboardApp", self.app)
        seen: set[str] = set()
        for node in (app, app.page()):
            for binding in type(node).BINDINGS if node is not None else ():
                if isinstance(binding, Binding) and binding.description and binding.action not in seen:
                    seen.add(binding.action)
                    yield binding.action, binding.tooltip or binding.description, binding.key_display or binding.key

    async def discover(self) -> Hits:
        for action, title, key in self._actions():
            yield DiscoveryHit(Text(title), self._runner(action), text=title, help=f"Key: {key}")

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for action, title, key in self._actions():
            score = matcher.match(title)
            if score > 0:
                yield Hit(score, matcher.highlight(title), self._runner(action), text=title, help=f"Key: {key}")
        app, found = cast("DashboardApp", self.app), 0
        for name in app.view.devices:
            shown = safe_text(name, 64)
            score = matcher.match(shown)
            if score > 0 and found < MOST_DEVICES:
                found += 1
                yield Hit(score, matcher.highlight(shown), self._opener(name), text=shown, help="Open this device")

    def _runner(self, action: str):  # type: ignore[no-untyped-def]
        app = cast("DashboardApp", self.app)
        node = app.page()

        async def run() -> None:
            await app.run_action(action, default_namespace=node if node is not None else app)

        return run

    def _opener(self, name: str):  # type: ignore[no-untyped-def]
        def open_it() -> None:
            self.app.post_message(OpenDevice(name))

        return open_it
