"""Check a backup from the first byte to the last, and show what it says of itself; this needs no Redis."""

from __future__ import annotations

import json
import sys

from admin import _command
from twelfth_redis.backup.verify import Verified, verify
from twelfth_redis.errors import FormatError, RefusedError

NAME = "verify"


def main(arguments: list[str] | None = None) -> int:
    """Check the file, and return the exit code: 0 it is right, 1 it is not (one line says why), 2 misuse."""
    parser = _command.parser(NAME, __doc__)
    parser.add_argument("file", nargs="?", default="-", metavar="FILE", help="the backup (default: standard input)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    return _command.run(NAME, lambda: _verify(options.file, as_json=options.json))


def _verify(file: str, *, as_json: bool) -> None:
    if file == "-":
        why = "it reads a backup from standard input, which is a terminal; type: invoke verify FILE"
        _command.refuse_terminal(sys.stdin, why)
    found = _verified(file)
    print(json.dumps(found.values()) if as_json else "\n".join(found.lines()))


def _verified(file: str) -> Verified:
    """Return what the file says; raises RefusedError that names the file."""
    name = "the file" if file == "-" else file
    try:
        with open(0 if file == "-" else file, "rb", closefd=file != "-") as stream:
            return verify(stream)
    except FormatError as error:
        raise RefusedError(f"{name}: {error}") from error
    except OSError as error:
        raise RefusedError(f"{name}: {error.strerror}") from error


if __name__ == "__main__":
    sys.exit(main())
