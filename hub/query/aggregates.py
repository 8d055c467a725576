"""What the aggregates of a question mean, whichever store answers."""

from typing import Final

#: Aggregate -> its meaning, over the readings of one device, metric and bucket.
AGGREGATES: Final[dict[str, str]] = {
    "mean": "sum of the values by their count; every reading weighs the same, however long it stood",
    "min": "the smallest value",
    "max": "the largest value",
    "count": "how many readings there are",
    "first": "the value with the smallest time; of equal times the one that the hub kept first",
    "last": "the value with the largest time; of equal times the one that the hub kept last",
}
