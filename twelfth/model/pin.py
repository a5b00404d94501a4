"""The image that a reference in the Compose file names, fixed until it is pulled again."""

from __future__ import annotations

from dataclasses import dataclass, field

from twelfth.model.image_name import image_name

DIGITS = 12
"""Hexadecimal digits of a digest that name a release, as for one that is built."""


@dataclass(frozen=True)
class Pin:
    """An image with a reference such as `registry/app:v2`: its id, and its name with the digest of the repository.

    `digest` is "" for an image that no registry has, such as a loaded one.
    """

    reference: str
    image: str
    digest: str = ""
    size: int = field(default=0, compare=False)

    @property
    def release(self) -> str:
        """Return the name of the release: the first digits of the repository's digest, else of the image's id."""
        return (image_name(self.digest).digest or self.image).rpartition(":")[2][:DIGITS]
