"""Processes that start at once: forked from one in which everything is imported and that has no other threads.

A hub that a person starts spends most of its first second importing. The lab starts hubs hundreds of times, so it keeps
one process ready, forked before anything runs in it; each hub, fleet or command is a fork of that one: a process of its
own, with its own files, which ``kill -9`` ends like any other.
"""

import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

MESSAGE_BYTES = 1 << 17  # of a request: arguments and environment


class Forged:
    """A forked process, with what the lab needs of ``subprocess.Popen``."""

    def __init__(self, forge: "Forge", pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._forge = forge

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._forge.ask({"poll": self.pid})["code"]
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.poll() is None:
            handle = os.pidfd_open(self.pid)  # of a process that has ended too: only ``poll`` lets it go
            try:
                watch = select.poll()
                watch.register(handle, select.POLLIN)
                watch.poll(None if timeout is None else timeout * 1000)
            finally:
                os.close(handle)
        if (code := self.poll()) is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


class Forge:
    """Make it while this process has one thread. What it has made ends with it."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = threading.Lock()
        if os.fork() == 0:
            self._socket.close()
            _forge(theirs)
        theirs.close()

    def start(
        self, target: str, *arguments: str, env: Mapping[str, str], log: Path, stdout: Path | None = None
    ) -> Forged:
        """Call ``module:function`` in a process; its exit code is what that returns. Both streams are appended to
        ``log``, or stdout goes to a file of its own."""
        request = {"target": target, "arguments": arguments, "env": dict(env), "log": str(log)}
        return Forged(self, self.ask(request | {"stdout": str(stdout or log)})["pid"])

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        with self._lock:
            self._socket.send(json.dumps(request).encode())
            return dict(json.loads(self._socket.recv(MESSAGE_BYTES)))


def run(call: Callable[[], object]) -> int:
    """The exit code of a process that calls this and nothing else."""
    try:
        result = call()
        code = result if isinstance(result, int) else 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    return code


def redirect(stdout: Path, stderr: Path) -> None:
    """Append what this process writes to these files."""
    for path, number in ((stdout, 1), (stderr, 2)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(file, number)
        os.close(file)


def _forge(requests: socket.socket) -> None:
    """Fork as asked until nobody asks any more."""
    living: set[int] = set()
    while message := requests.recv(MESSAGE_BYTES):
        request = json.loads(message)
        if "poll" in request:
            pid, status = os.waitpid(request["poll"], os.WNOHANG)
            living.discard(pid)
            answer = {"code": os.waitstatus_to_exitcode(status) if pid else None}
        else:
            pid = os.fork()
            if pid == 0:
                requests.close()
                os._exit(run(partial(_become, request)))
            living.add(pid)
            answer = {"pid": pid}
        requests.send(json.dumps(answer).encode())
    for pid in living:
        os.kill(pid, signal.SIGKILL)
    os._exit(0)


def _become(request: Mapping[str, Any]) -> int:
    redirect(Path(request["stdout"]), Path(request["log"]))
    os.environ.clear()
    os.environ.update(request["env"])
    sys.argv = [request["target"], *request["arguments"]]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    module, _, name = request["target"].partition(":")
    return int(getattr(importlib.import_module(module), name)(*request["arguments"]) or 0)
