"""What one metric takes: its type and its limits, compiled from birth and model; for one value and for a column."""

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from hub.model.model import MAX_INT, MAX_TEXT, Metric, ValueType
from hub.wire.messages import Array, Declared, Value

Mask: TypeAlias = npt.NDArray[np.bool_]
LARGEST: Final = {"float64": 1.7976931348623157e308, "float32": 3.4028234663852886e38}
NOT_FINITE: Final = "neither NaN nor infinity can be stored"
_SHORT: Final = MAX_TEXT // 4  # characters: so many never take more than MAX_TEXT bytes
_PYTHON: Final = {"float64": float, "float32": float, "int": int, "decimal": int, "bool": bool, "text": str}


class Fault(NamedTuple):
    """Why readings of a metric are rejected; ``rows`` of a column, null for all of them."""

    code: str
    text: str
    rows: Mask | None = None


class Limits:
    """The rule of one metric of a birth; ``model`` null when the model does not know it and is not open."""

    def __init__(self, declared: Declared, known: bool, metric: Metric | None) -> None:
        self.name = declared.name
        self.type = ValueType.parse(declared.type)
        self.known = known
        self.low, self.high = _bounds(self.type, metric)
        #: Python type of a value that ``low <= value <= high`` judges for good; null: only ``fault`` can tell.
        self.quick = _PYTHON[self.type.name] if known and self.type.name != "text" else None

    def fault(self, value: Value) -> Fault | None:
        """What is wrong with a value that is not null."""
        kind, name = type(value), self.type.name
        if not self.known:
            return Fault("unknown_metric", f"{self.name} is not in the model")
        if kind is str and name == "text":
            size = len(value.encode(errors="surrogatepass"))  # type: ignore[union-attr]
            return None if size <= MAX_TEXT else Fault("too_long", f"{self.name}: {size} bytes, at most {MAX_TEXT}")
        if kind is not _PYTHON[name] and not (kind is int and name in LARGEST):
            return Fault("wrong_type", f"{self.name} is {self.type}, this is {kind.__name__}")
        if kind is float and not math.isfinite(value):  # type: ignore[arg-type]
            return Fault("not_finite", f"{self.name}: {NOT_FINITE}")
        if self.low <= value <= self.high:  # type: ignore[operator]
            return None
        return self._out_of_range()

    def column(self, values: Array | list[Value]) -> list[Fault]:
        """What is wrong with the values of a column."""
        if not self.known:
            return [Fault("unknown_metric", f"{self.name} is not in the model")]
        return self._list(values) if isinstance(values, list) else self._array(values)

    def _array(self, values: Array) -> list[Fault]:
        kind, name = values.dtype.kind, self.type.name
        if kind not in "fiu" or (name not in LARGEST and (kind == "f" or name in ("bool", "text"))):
            return [Fault("wrong_type", f"{self.name} is {self.type}, this is an array of {values.dtype}")]
        numbers: npt.NDArray[Any] = values
        if self.low <= numbers.min().item() and numbers.max().item() <= self.high:
            return []
        faults: list[Fault] = []
        out = (numbers < self.low) | (numbers > self.high) if kind != "f" else None
        if out is None:
            wide = numbers.astype(np.float64)  # limits may not fit a narrower float
            finite = np.isfinite(wide)
            if not finite.all():
                faults.append(Fault("not_finite", f"{self.name}: {NOT_FINITE}", ~finite))
            out = ((wide < self.low) | (wide > self.high)) & finite
        if out.any():
            faults.append(self._out_of_range()._replace(rows=out))
        return faults

    def _list(self, values: list[Value]) -> list[Fault]:
        kinds = set(map(type, values)) - {type(None)}
        if kinds <= {bool} and self.type.name == "bool":
            return []
        if kinds <= {str} and self.type.name == "text" and max(map(len, filter(None, values)), default=0) <= _SHORT:  # type: ignore[arg-type]
            return []
        by_code: dict[str, tuple[Fault, Mask]] = {}
        for row, value in enumerate(values):
            fault = None if value is None else self.fault(value)
            if fault is not None:
                by_code.setdefault(fault.code, (fault, np.zeros(len(values), np.bool_)))[1][row] = True
        return [fault._replace(rows=rows) for fault, rows in by_code.values()]

    def _out_of_range(self) -> Fault:
        scale = 10**self.type.scale
        return Fault("out_of_range", f"{self.name} must be within {self.low / scale:g} and {self.high / scale:g}")


def _bounds(kind: ValueType, metric: Metric | None) -> tuple[float, float]:
    """Lowest and highest value as it stands on the wire."""
    least = None if metric is None else metric.min
    most = None if metric is None else metric.max
    largest = LARGEST.get(kind.name)
    if largest is not None:
        return (-largest if least is None else least), (largest if most is None else most)
    if kind.name == "bool":
        return False, True
    low = -MAX_INT if least is None else int(_raw(least, kind).to_integral_value(ROUND_CEILING))
    high = MAX_INT if most is None else int(_raw(most, kind).to_integral_value(ROUND_FLOOR))
    return low, high


def _raw(limit: float, kind: ValueType) -> Decimal:
    return Decimal(str(limit)).scaleb(kind.scale)
