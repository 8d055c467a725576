"""A mirror in InfluxDB, or in whatever speaks its line protocol: only written, never asked."""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, cast

from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.domain.write_precision import WritePrecision
from influxdb_client.rest import ApiException
from urllib3.exceptions import HTTPError

from hub.store.base import StoreError
from hub.store.influx.lines import Line, LineEncoder, retried_lines
from hub.wire.kept import Entry, Kept, Retried

NANOSECONDS: Final = cast("WritePrecision", WritePrecision.NS)  # a text; the library's annotations say otherwise
LINES_A_REQUEST: Final = 5_000  # what InfluxDB's makers advise
REFUSED_REMEMBERED: Final = 1_000  # lines that the server refused; older ones are only counted
POISON: Final = frozenset({400, 413, 422})  # the lines are at fault, or one of them
HOPELESS: Final = frozenset({401, 403, 404})  # token, organisation or bucket are at fault: waiting does not help


class RefusedLine(NamedTuple):
    """A line that the server does not want, and what it said."""

    line: bytes
    text: str


class InfluxMirror:
    """Writes accepted readings to a bucket. Sending the same again overwrites, so ``take`` may be repeated at will:
    whoever calls it keeps the cursor. Lines that the server refuses are told apart by halving, kept in ``refused`` and
    counted; the rest of them gets through. Every call blocks."""

    def __init__(self, url: str, token: str, org: str, bucket: str, *, timeout: float = 10.0) -> None:
        self.name = "influx"
        self.refused: deque[RefusedLine] = deque(maxlen=REFUSED_REMEMBERED)
        self._url = url
        self._org = org
        self._bucket = bucket
        self._client = InfluxDBClient(url=url, token=token, org=org, timeout=int(timeout * 1000), enable_gzip=True)
        self._api = self._client.write_api(write_options=SYNCHRONOUS)
        self._encoder = LineEncoder()
        self._counters = dict.fromkeys(("lines", "requests", "refused", "collisions"), 0)

    def take(self, entries: Sequence[Entry]) -> None:
        """Write the accepted readings of these entries; StoreError when the server cannot take them now."""
        lines: list[Line] = []
        for entry in entries:
            if type(entry) is Kept:
                lines += self._encoder.lines(entry)
            elif type(entry) is Retried:
                lines += retried_lines(entry)
        for start in range(0, len(lines), LINES_A_REQUEST):
            self._write([line.text for line in lines[start : start + LINES_A_REQUEST]])
        self._counters["lines"] += len(lines)
        self._counters["collisions"] += _collisions(lines)

    def statistics(self) -> dict[str, Any]:
        """Counters: lines sent, requests, lines refused, and lines that overwrote another one of the same take; and
        what the server said of the line that it refused last."""
        return {**self._counters, "refusal": self.refused[-1].text if self.refused else ""}

    def close(self) -> None:
        """Let go of the connections."""
        self._api.close()  # type: ignore[no-untyped-call]
        self._client.close()  # type: ignore[no-untyped-call]

    def _write(self, lines: list[bytes]) -> None:
        self._counters["requests"] += 1
        try:
            self._api.write(self._bucket, self._org, b"\n".join(lines), write_precision=NANOSECONDS)
        except ApiException as error:
            if error.status not in POISON:
                raise self._refusal(error) from error
            if len(lines) == 1:
                self._counters["refused"] += 1
                self.refused.append(RefusedLine(lines[0], _said(error)))
                return
            middle = len(lines) // 2
            self._write(lines[:middle])
            self._write(lines[middle:])
        except (HTTPError, OSError) as error:
            raise StoreError(f"{self._url} cannot be reached ({error}): is InfluxDB running there?") from error

    def _refusal(self, error: ApiException) -> StoreError:
        if error.status in HOPELESS:
            text = f"{self._url} answers {error.status} ({_said(error)}): check the mirror's token, org and bucket"
            return StoreError(text, retry=False)
        return StoreError(f"{self._url} answers {error.status} ({_said(error)})", retry_after=_retry_after(error))


def _said(error: ApiException) -> str:
    """What the server said, in one short line."""
    body = error.body.decode("utf-8", "replace") if isinstance(error.body, bytes) else str(error.body or error.reason)
    return " ".join(body.split())[:200]


def _retry_after(error: ApiException) -> float | None:
    headers: Mapping[str, str] = error.headers or {}
    text = headers.get("Retry-After", "")
    return float(text) if text.isdigit() else None


def _collisions(lines: list[Line]) -> int:
    return len(lines) - len({(line.series, line.time) for line in lines})
