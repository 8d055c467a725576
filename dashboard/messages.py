"""What happens in the dashboard, in its own words."""

from dataclasses import dataclass

from textual.message import Message


@dataclass
class Changed(Message):
    """There is a newer view: look again. Carries nothing, so that any number of them is worth one repaint."""

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, Changed)


@dataclass
class OpenDevice(Message):
    """Show this device's page."""

    device: str
