"""What control refuses, in the words that operators get."""


class ControlRefused(Exception):
    """The request cannot be done; nothing has changed. ``code`` is one of FAILURES; the text says what to do next."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class RegistryRefused(ControlRefused):
    """Not with this device, label or token."""


class CommandRefused(ControlRefused):
    """Not this command, or not now."""
