"""Text that is shown as it is, and painted again only when it differs."""

from rich.text import Text
from textual.widgets import Static


class Words(Static):
    """A Static that reads no markup and asks for a new layout only when its number of lines has changed."""

    def __init__(self, id: str) -> None:
        super().__init__(id=id, markup=False)
        self._said: tuple[object, ...] = ()

    def say(self, text: Text) -> None:
        """Show this text."""
        said = (text.plain.count("\n"), text.plain, text.style, tuple(text.spans))
        if said != self._said:
            layout = said[:1] != self._said[:1]
            self._said = said
            self.update(text, layout=layout)
