"""What a device had to send when its link began, and how long the rest of it will take."""

from dataclasses import dataclass

from hub.wire.ranges import Ranges


@dataclass(slots=True)
class Backlog:
    """``next``: follows the last batch it had at its hello, in the epoch of its link; ``through``: what was settled
    then, at ``began`` (monotonic seconds), and ``held``: what was settled above that."""

    next: int = 1
    through: int = 0
    began: float = 0.0
    held: tuple[tuple[int, int], ...] = ()

    def prefix(self, through: int) -> int:
        """Up to where all is settled when everything up to ``through`` is."""
        for first, last in self.held:
            if first <= through + 1 <= last:
                return last
        return through

    def waiting(self, through: int) -> int:
        """Batches of it that are not settled when everything up to ``through`` is."""
        return max(0, self.next - 1 - through)

    def seconds(self, through: int, now: float) -> float | None:
        """Until all of it is settled, by the rate so far; None when it is, and while nobody can tell."""
        waiting, done = self.waiting(through), through - self.through
        return round(waiting * (now - self.began) / done, 1) if waiting and done > 0 else None


def in_fresh_epoch(next: int, first: int, through: int, held: Ranges) -> int:
    """Where the numbers of a device end that held ``first..next - 1`` and now counts from 1 what is not settled."""
    settled = held.copy()
    settled.add(1, through)
    return 1 + settled.missing(first, next - 1).count
