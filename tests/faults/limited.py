"""Starts a hub that may not have more address space than so many MB: a request for more fails.

glibc would reserve 64 MB of it for each thread, whatever is used of that: here threads share two arenas.
"""

import ctypes
import resource

M_ARENA_MAX = -8  # of mallopt(3)
ARENAS = 2
STACK_KB = 1_024  # of a thread of Python's, instead of 8 MB


def serve(megabytes: str) -> int:
    """``telemetrio hub serve``; its exit code."""
    import threading

    from hub.cli.run import run

    ctypes.CDLL(None).mallopt(M_ARENA_MAX, ARENAS)
    threading.stack_size(STACK_KB * 1024)
    size = int(megabytes) * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    return run(["hub", "serve"])
