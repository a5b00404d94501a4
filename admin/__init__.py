"""The one-off processes; each module here is one command, `python -m admin.NAME`."""

import signal
import sys

if sys.argv[:1] == ["-m"]:
    # Being started: until the program has its own answer (admin.store.face), Ctrl-C just ends it, with no traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
