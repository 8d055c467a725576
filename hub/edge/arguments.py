"""What operators send with a verb, read strictly."""

from collections.abc import Mapping
from dataclasses import dataclass

from hub.control.errors import ControlRefused
from hub.wire.messages import Plain


class Refused(ControlRefused):
    """The request cannot be done; ``code`` is one of FAILURES."""


@dataclass(frozen=True)
class Arguments:
    """What an operator sent with a verb, read strictly: a wrong or unknown argument is named."""

    verb: str
    given: Mapping[str, Plain]

    def only(self, *names: str) -> None:
        """Raise Refused when there is any other."""
        for name in self.given:
            if name not in names:
                allowed = ", ".join(names) or "none"
                raise Refused("bad_request", f"{self.verb} has no argument {name[:64]!r}; it takes: {allowed}")

    def text(self, name: str) -> str:
        value = self.given.get(name)
        if not isinstance(value, str) or not value:
            raise self._wrong(name, "a text, and not an empty one")
        return value

    def optional_text(self, name: str) -> str | None:
        return None if self.given.get(name) is None else self.text(name)

    def optional_number(self, name: str) -> int | None:
        return None if self.given.get(name) is None else self.number(name, 0, -(1 << 62), 1 << 62)

    def number(self, name: str, default: int, least: int, most: int) -> int:
        value = self.given.get(name, default)
        if type(value) is not int or not least <= value <= most:
            raise self._wrong(name, f"a whole number from {least} to {most}")
        return value

    def flag(self, name: str) -> bool:
        value = self.given.get(name, False)
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false")
        return value

    def texts(self, name: str) -> list[str]:
        value = self.given.get(name)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._wrong(name, "a list of texts")
        return [str(item) for item in value]

    def labels(self, name: str) -> dict[str, str]:
        return {key: value for key, value in self.patch(name, nulls=False).items() if value is not None}

    def patch(self, name: str, *, nulls: bool = True) -> dict[str, str | None]:
        value = self.given.get(name)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self._wrong(name, "a map of texts to texts")
        patch: dict[str, str | None] = {}
        for key, text in value.items():
            if not (isinstance(text, str) or (nulls and text is None)):
                raise self._wrong(name, "a map of texts to texts")
            patch[key] = text
        return patch

    def _wrong(self, name: str, what: str) -> Refused:
        return Refused("bad_request", f"{self.verb}: {name} must be {what}")
