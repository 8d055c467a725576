"""``./run bench``: what one hub does per CPU-second, beside peers under the same load in the same run.

    ./run bench [--runs 3] [--seconds 8] [--only burst,senders,...] [--servers telemetrio,...] [-o json]

Every figure is the median of the runs. The load comes from another process; the CPU-seconds are the server's own, from
the first frame until the last follower has taken it in (TLS, sync, store, ledger: the whole pipeline). Raw figures of
every run go to ``benchmarks/results/``, which is not kept in the repository.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import trio

from benchmarks.hubs import Server, hub, peer

Start = Callable[[Path, int], AbstractContextManager[Server]]
RESULTS = Path(__file__).parent / "results"
SERVERS: dict[str, Start] = {
    "telemetrio": hub,
    "bare trio-websocket": lambda folder, devices: peer("bare", folder, devices),
    "websockets + cbor2 + DuckDB": lambda folder, devices: peer("plain", folder, devices),
}
#: name -> (arguments of the load, links, what is counted)
LOADS: dict[str, tuple[list[str], int, str]] = {
    "columns": (["--shape", "columns"], 1, "readings"),
    "burst": (["--shape", "rows"], 1, "frames"),
    "senders at 10": (["--shape", "rows", "--rate", "10"], 500, "frames"),  # below what the hub can take
    "senders": (["--shape", "rows", "--rate", "20"], 500, "frames"),  # about what it can take
    "senders at 40": (["--shape", "rows", "--rate", "40"], 500, "frames"),  # far above
    "steady": (["--shape", "rows", "--rate", "1"], 500, "frames"),
}


def measure(server: Server, arguments: list[str], links: int, counted: str, seconds: float) -> dict[str, Any]:
    """One run of one load against one server."""
    command = [
        sys.executable, "-m", "benchmarks.load", "--url", server.url, "--ca", str(server.ca), "--gate",
        "--tokens", str(server.tokens), "--links", str(links), "--seconds", str(seconds), *arguments,
    ]  # fmt: skip
    load = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert load.stdout is not None
    if load.stdout.readline().strip() != "ready":
        raise RuntimeError("the load did not get ready")
    before = server.cpu()
    out, _ = load.communicate("go\n")
    trio.run(server.settle)
    cpu = server.cpu() - before
    told = json.loads(out)
    per_cpu_second = told[counted] / cpu if cpu else 0.0
    return {**told, "cpu_s": round(cpu, 3), "per_cpu_s": round(per_cpu_second), "rss_mib": round(server.rss(), 1)}


def idle(server: Server, links: int) -> dict[str, Any]:
    """Memory of a connection that says nothing."""
    before = server.rss()
    command = [
        sys.executable, "-m", "benchmarks.load", "--url", server.url, "--ca", str(server.ca), "--gate",
        "--tokens", str(server.tokens), "--links", str(links), "--rate", "0.001", "--seconds", "1",
    ]  # fmt: skip
    load = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert load.stdout is not None
    load.stdout.readline()
    after = server.rss()
    load.communicate("go\n")
    return {"rss_at_rest_mib": round(before, 1), "kib_per_link": round((after - before) * 1024 / links, 1)}


def help_seconds() -> dict[str, Any]:
    """Wall time of ``telemetrio --help``, best of five: what a person waits for."""
    times = []
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "hub.cli", "--help"], check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - began)
    return {"seconds": round(min(times), 3)}


def median(runs: list[dict[str, Any]]) -> dict[str, Any]:
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def bench(only: set[str], servers: dict[str, Start], runs: int, seconds: float) -> dict[str, Any]:
    raw: dict[str, Any] = {}
    for name, (arguments, links, counted) in LOADS.items():
        if only and name not in only:
            continue
        results: dict[str, list[dict[str, Any]]] = {server: [] for server in servers}
        for _ in range(runs):
            for label, start in servers.items():  # side by side: each run visits every server
                with tempfile.TemporaryDirectory() as folder, start(Path(folder) / "server", links) as server:
                    results[label].append(measure(server, arguments, links, counted, seconds))
                    print(f"{name}: {label}: {results[label][-1]}", file=sys.stderr)
        raw[name] = results
    if not only or "idle" in only:
        raw["idle"] = {}
        for label, start in servers.items():
            with tempfile.TemporaryDirectory() as folder, start(Path(folder) / "server", 500) as server:
                raw["idle"][label] = [idle(server, 500)]
                print(f"idle: {label}: {raw['idle'][label][-1]}", file=sys.stderr)
    if not only or "help" in only:
        raw["help"] = {"telemetrio": [help_seconds()]}
    if not only or "dashboard" in only:
        from benchmarks.dashboard import thousand

        raw["dashboard"] = {"telemetrio": [thousand() for _ in range(runs)]}
    return raw


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="./run bench", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument(
        "--only", default="", help="comma-separated: " + ", ".join([*LOADS, "idle", "help", "dashboard"])
    )
    parser.add_argument("--servers", default="", help="comma-separated beginnings of names: " + ", ".join(SERVERS))
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table")
    options = parser.parse_args()
    wanted = tuple(options.servers.split(","))
    servers = {name: start for name, start in SERVERS.items() if name.startswith(wanted)}
    raw = bench(set(filter(None, options.only.split(","))), servers, options.runs, options.seconds)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{time.strftime('%Y%m%dT%H%M%S')}.json").write_text(json.dumps(raw, indent=1))
    medians = {name: {label: median(runs) for label, runs in by.items()} for name, by in raw.items()}
    if options.output == "json":
        print(json.dumps(medians))
        return
    for name, by in medians.items():
        print(f"\n{name}")
        for label, figures in by.items():
            print(f"  {label:30}" + "  ".join(f"{key} {value:g}" for key, value in figures.items()))


if __name__ == "__main__":
    main()
