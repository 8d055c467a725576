"""What is wrong with settings, in words: who said it, where, and what to write instead."""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from pydantic import BaseModel, ValidationError

ENVIRONMENT: Final = "TELEMETRIO_"  # how variables begin, and the name of the environment as a source
_NOTHING: Final = object()
#: Kind of mistake, as pydantic names it -> what to write instead.
_INSTEAD: Final = {
    "model_type": "must be a table: write [{where}] and its settings below it",
    "path_type": "must be a path, a text in quotes", "string_type": "must be a text in quotes",
    "int_type": "must be a whole number", "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number", "float_type": "must be a number", "float_parsing": "must be a number",
    "finite_number": "must be a finite number", "bool_type": "must be true or false",
    "bool_parsing": "must be true or false", "literal_error": "must be {expected}",
    "greater_than_equal": "must be at least {ge:g}", "less_than_equal": "must be at most {le:g}",
    "greater_than": "must be more than {gt:g}",
}  # fmt: skip

Location: TypeAlias = tuple[int | str, ...]
#: Sources of settings, the one that wins first: its name for people, and what it says.
Sources: TypeAlias = Sequence[tuple[str, Mapping[str, Any]]]


def explain(error: ValidationError, model: type[BaseModel], sources: Sources) -> Iterator[str]:
    """A line for each mistake."""
    for problem in error.errors():
        location, kind = problem["loc"], problem["type"]
        where = ".".join(map(str, location))
        said = f"{_origin(location, sources)}: {where}: "
        if kind == "extra_forbidden":
            yield f"{said}unknown setting" + near(str(location[-1]), _keys(model, location[:-1]))
        elif kind == "value_error":
            yield said + problem["msg"].removeprefix("Value error, ")
        else:
            text = _INSTEAD.get(kind, problem["msg"]).format(where=where, **problem.get("ctx", {}))
            yield f"{said}{text}, not {problem['input']!r}"


def near(word: str, known: Iterable[str]) -> str:
    """The end of a message about a word that is not known."""
    known = list(known)
    found = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {found[0]}?" if found else f"; there are: {', '.join(known)}"


def _origin(location: Location, sources: Sources) -> str:
    """Who said it: the first source that holds the place."""
    for name, content in sources:
        inner: Any = content
        for part in location:
            inner = inner.get(part, _NOTHING) if isinstance(inner, Mapping) else _NOTHING
        if inner is not _NOTHING:
            return name + "__".join(map(str, location)).upper() if name == ENVIRONMENT else name
    return "settings"


def _keys(model: type[BaseModel], location: Location) -> list[str]:
    """What may stand there."""
    for part in location:
        inner = model.model_fields[str(part)].annotation
        assert isinstance(inner, type)
        assert issubclass(inner, BaseModel)
        model = inner
    return [name for name in model.model_fields if name != "base"]
