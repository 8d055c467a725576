"""``./run test``: every test, in three processes; arguments go to pytest. ``-o json``: one line of JSON on stdout."""

import contextlib
import json
import os
import shutil
import sys
import time

import pytest

#: What real servers the tests want, and what to install for them. In CI (CI=true) a missing one fails its tests.
SERVERS = {"victoria-metrics": "victoria-metrics", "tmux": "tmux", "nginx": "nginx-light", "strace": "strace"}

WORKERS = "3"  # on two cores: many tests wait for other processes


class Tally:
    """Counts outcomes, for the JSON line."""

    def __init__(self) -> None:
        self.counts = {"passed": 0, "failed": 0, "skipped": 0}
        self.failures: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            self.counts[report.outcome] += 1
            if report.failed:
                self.failures.append(report.nodeid)


def main(arguments: list[str]) -> int:
    as_json = False
    for at, argument in enumerate(arguments[:-1]):
        if argument == "-o" and arguments[at + 1] == "json":
            as_json = True
            del arguments[at : at + 2]
            break
    os.environ["PATH"] += os.pathsep + "/usr/sbin"  # where Debian keeps nginx
    missing = [package for server, package in SERVERS.items() if shutil.which(server) is None]
    if missing:
        print(f"some tests will be skipped; to run them: apt-get install {' '.join(missing)}", file=sys.stderr)
    tally = Tally()
    began = time.monotonic()
    chosen = any(argument.startswith(("-n", "-x", "--pdb")) for argument in arguments)
    workers = [] if chosen else ["-n", WORKERS, "--dist", "worksteal"]
    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
        code = int(pytest.main([*workers, *arguments], plugins=[tally]))
    if as_json:
        print(json.dumps({**tally.counts, "failures": tally.failures, "seconds": round(time.monotonic() - began, 1)}))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
