"""Open a Python prompt with `counter` and `redis`, a client."""

import code
import os
import sys

from service.counter import open_counter
from twelfth_redis.errors import SettingsError
from twelfth_redis.programs import say
from twelfth_redis.settings import read_settings


def main() -> int:
    """Open the prompt on a terminal, else execute standard input; return the exit code (2: invalid environment)."""
    try:
        settings = read_settings(os.environ)
    except SettingsError as error:
        say("console", str(error))
        return error.exit_code
    counter = open_counter(settings)
    names = {"__name__": "__console__", "counter": counter, "redis": counter.client}
    if not sys.stdin.isatty():
        exec(compile(sys.stdin.read(), "<stdin>", "exec"), names)  # noqa: S102 - this is the purpose of a console
        return 0
    _edit_lines(names)
    code.interact(f"{settings.address}: counter, redis; Ctrl-D ends", local=names, exitmsg="")
    return 0


def _edit_lines(names: dict[str, object]) -> None:
    # Some Pythons lack readline.
    try:
        import readline
        import rlcompleter
    except ImportError:
        return
    readline.set_completer(rlcompleter.Completer(names).complete)
    readline.parse_and_bind("tab: complete")


if __name__ == "__main__":
    sys.exit(main())
