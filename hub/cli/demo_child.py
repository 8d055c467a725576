"""``python -m hub.cli.demo_child FD WORDS...``: a command line that ends in order when the demo that started it is no
more.

The demo alone holds the write end of a pipe, and each of its children reads the other end: end of file means that the
demo has ended, however it ended. No signal could tell that after a ``kill -9``.
"""

import os
import signal
import sys
import threading


def end_with(fd: int) -> None:
    """End of file on ``fd`` is taken as SIGTERM is."""

    def wait() -> None:
        while os.read(fd, 1):  # nobody writes; this only waits
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="the demo's end", daemon=True).start()


if __name__ == "__main__":
    end_with(int(sys.argv.pop(1)))
    from hub.cli import main

    main()
