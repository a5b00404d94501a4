"""Check a backup from the first byte to the last, and show what it says of itself; this needs no Redis."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from typing import BinaryIO

from twelfth_redis.backup.format import FormatError, Manifest, Trailer, printable
from twelfth_redis.backup.prefetch import ahead
from twelfth_redis.backup.reader import Reader
from twelfth_redis.backup.sealed_gzip import unpacked

REFUSED, MISUSE = 1, 2


def main(arguments: list[str] | None = None) -> int:
    """Check the file, and return the exit code: 0 it is right, 1 it is not (one line says why), 2 misuse."""
    options = _parser().parse_args(arguments)
    if options.file == "-" and sys.stdin.isatty():
        return _say("it reads a backup from standard input, which is a terminal; type: invoke verify FILE", MISUSE)
    try:
        with open(0 if options.file == "-" else options.file, "rb", closefd=options.file != "-") as stream:
            found = verify(stream)
    except (FormatError, OSError) as error:
        name = "the file" if options.file == "-" else options.file
        return _say(f"{name}: {error if isinstance(error, FormatError) else error.strerror}", REFUSED)
    print(json.dumps(found.values()) if options.json else "\n".join(found.lines()))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m admin.verify", description=__doc__)
    parser.add_argument("file", nargs="?", default="-", metavar="FILE", help="the backup (default: standard input)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def _say(why: str, code: int) -> int:
    sys.stderr.write(f"verify: {why}\n")
    return code


@dataclass(frozen=True)
class Verified:
    """A backup that is right."""

    manifest: Manifest
    trailer: Trailer

    def values(self) -> dict[str, object]:
        """Return all that it says, with JSON's types."""
        return asdict(self.manifest) | asdict(self.trailer)

    def lines(self) -> list[str]:
        """Return what matters for people, aligned."""
        told = self.manifest
        by = [f"release {told.release}" * bool(told.release), f"run {told.run}" * bool(told.run), told.operator]
        rows = {
            "made": ", ".join([told.time, *filter(None, by)]),
            "server": f"{told.server}, database {told.database}, payload version {told.payload}",
            "keys": f"{self.trailer.count:,}, {told.guarantee}",
            "migrations": ", ".join(told.revisions) or "none",
            "sha256": self.trailer.sha256,
        }
        return [f"{name:<11} {printable(value)}" for name, value in rows.items()]


def verify(stream: BinaryIO) -> Verified:
    """Return what a backup says of itself, after every byte of it was checked; raises FormatError.

    Each key's own checksum is left to Redis, which refuses one that is wrong before a restore swaps anything in.
    """
    reading = Reader(ahead(unpacked(stream)))
    for _ in reading.batches():
        pass
    if reading.trailer is None:
        raise FormatError("its end is missing; use another copy of the file")
    return Verified(reading.manifest, reading.trailer)


if __name__ == "__main__":
    sys.exit(main())
