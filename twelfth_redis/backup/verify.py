"""Check a backup from the first byte to the last; nothing here needs Redis."""

from dataclasses import asdict, dataclass
from typing import BinaryIO

from twelfth_redis.backup.format import Manifest, Trailer, printable
from twelfth_redis.backup.prefetch import prefetched
from twelfth_redis.backup.reader import Reader
from twelfth_redis.backup.sealed_gzip import unpacked
from twelfth_redis.errors import FormatError


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
        manifest = self.manifest
        release = f"release {manifest.release}" if manifest.release else ""
        run = f"run {manifest.run}" if manifest.run else ""
        rows = {
            "made": ", ".join(filter(None, (manifest.time, release, run, manifest.operator))),
            "server": f"{manifest.server}, database {manifest.database}, payload version {manifest.payload}",
            "keys": f"{self.trailer.count:,}, {manifest.guarantee}",
            "migrations": ", ".join(manifest.revisions) or "none",
            "sha256": self.trailer.sha256,
        }
        return [f"{name:<11} {printable(value)}" for name, value in rows.items()]


def verify(stream: BinaryIO) -> Verified:
    """Return what a backup says of itself, after every byte of it was checked; raises FormatError.

    Each key's own checksum is left to Redis, which refuses one that is wrong before a restore swaps anything in.
    """
    reader = Reader(prefetched(unpacked(stream)))
    for _ in reader.batches():
        pass
    if reader.trailer is None:
        raise FormatError("its end is missing; use another copy of the file")
    return Verified(reader.manifest, reader.trailer)
