"""The console script `twelfth`."""

from __future__ import annotations

import signal


def main() -> None:
    """Run the command that was typed, and exit; until it begins, Ctrl-C ends it at once and without a word."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is to be ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from twelfth.cli.program import Twelfth

    Twelfth().run()


if __name__ == "__main__":
    main()
