"""``telemetrio doctor``: what most often stands between people and a hub, checked one after the other."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from hub.cli.options import OUTPUT, REACH, Output, Reach

if TYPE_CHECKING:
    from hub.client import Context
    from hub.wire.shapes import Status

SKEW_SECONDS: Final = 5.0  # of two clocks: more makes times of devices and hub hard to compare
EXPIRY_DAYS: Final = 30  # before its end a certificate should be renewed
SPACE_BYTES: Final = 1_000_000_000  # some hours of a busy hub's journal

Finding = tuple[str, bool, str]


def doctor(*, reach: Reach = REACH, output: Output = OUTPUT) -> int:
    """Check settings, certificates, token, clock, disk and the way to the hub; each with what to do next."""
    from hub.cli.exits import Exit, explain
    from hub.cli.output import write_rows

    found: list[Finding] = []

    def check(name: str, look: Callable[[], list[Finding]]) -> None:
        try:
            found.extend(look())
        except Exception as error:
            told = explain(error)
            if told is None:
                raise
            found.append((name, False, told[1]))

    check("settings", lambda: _settings(reach.context()))
    if found[0][1]:  # what is built on bad settings would only say the same again
        check("certificate", lambda: _certificate(reach.context()))
        check("disk", lambda: _disk(reach.context()))
        check("hub", lambda: _hub(reach.context()))
    write_rows(["check", "good", "finding"], found, output)
    return Exit.OK if all(good for _, good, _ in found) else Exit.FAILED


def _settings(context: "Context") -> list[Finding]:
    from hub.cli.hub import settings_of

    settings_of(context.file)
    return [("settings", True, str(context.file) if context.file else "none found, defaults are used")]


def _certificate(context: "Context") -> list[Finding]:
    from cryptography import x509

    from hub.cli.hub import settings_of
    from hub.ports import SystemClock

    now = SystemClock().now() / 1e6

    settings = settings_of(context.file)
    found: list[Finding] = []
    for path in (settings.path(settings.tls.certificate), context.ca):
        if path is not None and path.exists():
            try:
                end = x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
            except ValueError:
                found.append(("certificate", False, f"{path} is not a certificate in PEM"))
                continue
            days = int((end.timestamp() - now) / 86_400)
            advice = "" if days >= EXPIRY_DAYS else "; renew it"
            found.append(("certificate", days >= EXPIRY_DAYS, f"{path} is valid for {days} days{advice}"))
    return found


def _disk(context: "Context") -> list[Finding]:
    from hub.cli.hub import settings_of
    from hub.disk import DiskFiles

    data = settings_of(context.file).data
    if not data.is_dir():
        return []
    free = DiskFiles().free(data)
    advice = "" if free >= SPACE_BYTES else "; make room, a full disk stops acks"
    return [("disk", free >= SPACE_BYTES, f"{free / 1e9:.1f} GB free for {data}{advice}")]


def _hub(context: "Context") -> list[Finding]:
    from hub.cli.ask import with_operator
    from hub.client import Operator
    from hub.ports import SystemClock

    async def look(operator: Operator) -> list[Finding]:
        greeting = operator.greeting
        skew = (SystemClock().now() - greeting.time) / 1e6
        status: Status = await operator.call("status")
        advice = "" if abs(skew) < SKEW_SECONDS else "; keep both with NTP"
        return [
            ("hub", True, f"{context.url} speaks version {greeting.version}"),
            ("token", True, f"{greeting.subject}, role {greeting.role}"),
            ("clock", abs(skew) < SKEW_SECONDS, f"{skew:+.1f} s from the hub's{advice}"),
            *(("hub", False, problem) for problem in status["problems"]),
        ]

    return with_operator(context.target, look)
