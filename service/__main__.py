"""Serve the counter over HTTP until SIGTERM or SIGINT."""

import signal
import sys

# Before the other imports: the kernel drops a signal that process 1 has no handler for (pid_namespaces(7)).
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda *_: sys.exit(0))

if __name__ == "__main__":
    from service.server import main

    sys.exit(main())
