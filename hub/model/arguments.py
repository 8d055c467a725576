"""Checks what operators hand to a command against what the model says it takes."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final

from hub.model.model import MAX_INT, MAX_TEXT, Argument, CommandSpec, ModelError

TRUE: Final = frozenset({"true", "yes", "on", "1"})
FALSE: Final = frozenset({"false", "no", "off", "0"})


class ArgumentRefused(ModelError):
    """An argument of a command is missing, unknown or not what the model allows."""


def check_arguments(spec: CommandSpec, args: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments as the device gets them: typed, defaults filled in. ModelError names the argument and what it
    may be."""
    known = {argument.name: argument for argument in spec.arguments}
    for name in args:
        if name not in known:
            raise ArgumentRefused(_unknown(spec, str(name)))
    checked: dict[str, Any] = {}
    for argument in spec.arguments:
        if args.get(argument.name) is not None:
            checked[argument.name] = check_argument(argument, args[argument.name])
        elif argument.required:
            raise ArgumentRefused(f"{spec.name} needs the argument {argument.name}: {allowed(argument)}")
        elif argument.default is not None:
            checked[argument.name] = argument.default
    return checked


def check_argument(argument: Argument, value: Any) -> Any:
    """The value in the argument's type; ModelError when it is not allowed."""
    kind = argument.type.name
    good: Any = None
    if kind == "bool":
        good = value if isinstance(value, bool) else None
    elif kind == "text":
        fits = isinstance(value, str) and len(value.encode("utf-8", "replace")) <= MAX_TEXT
        good = value if fits and (not argument.choices or value in argument.choices) else None
    elif isinstance(value, int | float) and not isinstance(value, bool) and value - value == 0:
        good = _number(argument, value)
    if good is None:
        raise ArgumentRefused(f"{argument.name} = {_shown(value)} is not allowed: {allowed(argument)}")
    return good


def parse_arguments(spec: CommandSpec, words: Sequence[str]) -> dict[str, Any]:
    """What a person typed as ``key=value``, typed as the model says, and checked."""
    known = {argument.name: argument for argument in spec.arguments}
    args: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            raise ArgumentRefused(f"{word!r} is no argument: write key=value")
        if name not in known:
            raise ArgumentRefused(_unknown(spec, name))
        if name in args:
            raise ArgumentRefused(f"{name} is given twice")
        args[name] = _typed(known[name], text)
    return check_arguments(spec, args)


def allowed(argument: Argument) -> str:
    """What the argument may be, in words for a person."""
    kind = {"float64": "a number", "int": "a whole number", "bool": "true or false", "text": "a text"}
    words = "one of " + ", ".join(argument.choices) if argument.choices else kind[argument.type.name]
    if argument.min is not None and argument.max is not None:
        words += f" from {argument.min:.12g} to {argument.max:.12g}"
    elif argument.min is not None:
        words += f" of at least {argument.min:.12g}"
    elif argument.max is not None:
        words += f" of at most {argument.max:.12g}"
    return f"{words} {argument.unit}" if argument.unit and not argument.choices else words


def _number(argument: Argument, value: float) -> float | int | None:
    low, high = argument.min, argument.max
    if (low is not None and value < low) or (high is not None and value > high):
        return None
    if argument.type.name == "int":
        return int(value) if value == int(value) and abs(value) <= MAX_INT else None
    return float(value) if abs(value) <= 1e308 else None


def _typed(argument: Argument, text: str) -> Any:
    kind = argument.type.name
    if kind == "text":
        return text
    if kind == "bool":
        word = text.lower()
        return True if word in TRUE else False if word in FALSE else text
    try:
        return int(text) if kind == "int" else float(text)
    except ValueError:
        return text  # the check says what would be right


def _unknown(spec: CommandSpec, name: str) -> str:
    names = [argument.name for argument in spec.arguments]
    if not names:
        return f"{spec.name} takes no arguments, {_shown(name)} was given"
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"it takes {', '.join(names)}"
    return f"{spec.name} has no argument {_shown(name)}: {hint}"


def _shown(value: Any) -> str:
    """Short and safe for a message: strangers choose the value."""
    if isinstance(value, int) and abs(value) > 1 << 64:
        return "a number of that size"  # writing one of many digits out takes long, or raises
    text = ascii(value) if isinstance(value, str | int | float | bool) else f"a {type(value).__name__}"
    return text if len(text) <= 80 else text[:77] + "..."
