"""Text that is shown as it is, and painted again only when it differs."""

from rich.text import Text
from textual.widgets import Static


class Words(Static):
    """A Static that reads no markup and asks for a new layout only when it has not as many lines as it needs."""

    def __init__(self, id: str) -> None:
        super().__init__(id=id, markup=False)
        self._said: tuple[int, str, object, tuple[object, ...]] | None = None

    def say(self, text: Text) -> None:
        """Show this text."""
        said = (text.plain.count("\n"), text.plain, text.style, tuple(text.spans))
        height = self.styles.height
        cut = height is not None and height.is_auto and self.size.height != said[0] + 1  # laid out out of sight
        if said != self._said or cut:
            layout = cut or self._said is None or said[0] != self._said[0]
            self._said = said
            self.update(text, layout=layout)
