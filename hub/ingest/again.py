"""A second look at one rejected reading, with the model as it is now: a new verdict, which is a record of its own."""

from typing import Final

from hub.ingest.limits import Fault, Limits
from hub.model.model import Model, ModelError
from hub.wire.messages import Declared, Value

#: What no model can mend: the time was decided once (P8), and what could not be read or named still cannot.
FOR_GOOD: Final = frozenset({"clock_unset", "future_time", "past_time", "malformed", "bad_index"})


def judge_again(model: Model | None, declared: Declared, code: str, value: Value) -> tuple[Declared, Fault | None]:
    """What is wrong with a value that was rejected under ``code``, and the metric that it is stored as where nothing
    is. The type is the model's where that was corrected, except for decimals, whose raw value means something else."""
    if code in FOR_GOOD:
        return declared, Fault(code, "no model can change that")
    if model is None or not declared.type:
        return declared, Fault(code, "its model is not known here" if model is None else "it does not say its type")
    metric = model.metrics.get(declared.name)
    if metric is not None and metric.unit != declared.unit:
        text = f"{declared.name} of model {model.name} is in {metric.unit!r}, this is in {declared.unit!r}"
        return declared, Fault("wrong_unit", text)
    if metric is not None and str(metric.type) != declared.type:
        if "decimal" in str(metric.type) + declared.type:
            return declared, Fault("wrong_type", f"{declared.name} is {metric.type}, this is {declared.type}")
        declared = declared._replace(type=str(metric.type))
    try:
        return declared, Limits(declared, model.open or metric is not None, metric).fault(value)
    except ModelError as error:
        return declared, Fault("wrong_type", f"{declared.name}: {error}")
