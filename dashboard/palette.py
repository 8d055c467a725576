"""The command palette: everything that a key does, by name, and every device."""

from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from rich.text import Text
from textual.binding import Binding
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.dom import DOMNode

from dashboard.messages import OpenDevice
from hub.client.text import safe_text

if TYPE_CHECKING:
    from dashboard.app import DashboardApp

MOST_DEVICES: Final = 20  # found at once; who types one more letter finds the others


class Deed(NamedTuple):
    """What a key does, and where the action is at home."""

    node: DOMNode
    action: str
    title: str
    help: str


class Actions(Provider):
    """What the bindings of app and page do, and the devices by name."""

    @property
    def _dashboard(self) -> "DashboardApp":
        return cast("DashboardApp", self.app)

    def _deeds(self) -> Iterator[Deed]:
        page = self._dashboard.page()
        for node in (self._dashboard, page):
            for binding in node.BINDINGS if node is not None else ():
                if node is not None and isinstance(binding, Binding) and binding.description:
                    key = (binding.key_display or binding.key).replace("[", "\\[")  # Textual reads help as markup
                    yield Deed(node, binding.action, binding.tooltip or binding.description, f"Key: {key}")

    async def discover(self) -> Hits:
        for deed in self._deeds():
            yield DiscoveryHit(Text(deed.title), self._doing(deed), text=deed.title, help=deed.help)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for deed in self._deeds():
            score = matcher.match(deed.title)
            if score > 0:
                yield Hit(score, matcher.highlight(deed.title), self._doing(deed), text=deed.title, help=deed.help)
        found = 0
        for name in self._dashboard.view.devices:
            shown = safe_text(name, 64)
            score = matcher.match(shown)
            if score > 0 and found < MOST_DEVICES:
                found += 1
                yield Hit(score, matcher.highlight(shown), self._opening(name), text=shown, help="Open this device")

    def _doing(self, deed: Deed) -> Callable[[], Awaitable[object]]:
        return lambda: self.app.run_action(deed.action, default_namespace=deed.node)

    def _opening(self, name: str) -> Callable[[], object]:
        return lambda: self.app.post_message(OpenDevice(name))
