"""The contents of a build context, from which the digest, the image and the local copy are made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


class Bytes(Protocol):
    """Bytes on disk, which are deleted with the last reference."""

    @property
    def size(self) -> int:
        """Return how many there are."""

    def read_at(self, offset: int, size: int) -> bytes:
        """Return up to `size` bytes from an offset."""


@dataclass(frozen=True)
class Contents:
    """One reading of a build context.

    `tar` is an archive, without its end marker, of what `COPY . .` copies. The Dockerfile and the `.dockerignore` are
    in it only if they are admitted; the builder gets them in any case. `digest` covers the archive's paths, bytes,
    executable bits and links. `ignore` is None without a `.dockerignore`; `has_own_ignore` is set if
    `NAME.dockerignore` was read instead. `unusual` has the sizes of directories that are usually excluded, by name.
    `additional` are archives of the additional contexts that are directories, by name; the digest covers them, too.
    """

    tar: Bytes
    digest: str
    dockerfile: bytes
    is_dockerfile_admitted: bool
    ignore: bytes | None = None
    is_ignore_admitted: bool = False
    has_own_ignore: bool = False
    unusual: Mapping[str, int] = field(default_factory=dict)
    additional: Mapping[str, Bytes] = field(default_factory=dict)
