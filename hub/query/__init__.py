"""Questions to the stores, the time grammar people type, what aggregates mean, answers in columns."""

from hub.query.aggregates import AGGREGATES
from hub.query.question import DEFAULT_ROWS, MAX_ROWS, Columns, Question, QuestionError
from hub.query.time import format_duration, parse_duration, parse_instant

__all__ = [
    "AGGREGATES", "DEFAULT_ROWS", "MAX_ROWS", "Columns", "Question", "QuestionError", "format_duration",
    "parse_duration", "parse_instant",
]  # fmt: skip
