"""Parse image names (https://github.com/distribution/reference/blob/main/reference.go)."""

from __future__ import annotations

from dataclasses import dataclass

HUB = ("docker.io", "index.docker.io")
"""Registries that the daemon omits from an image's name, like `library/`."""


@dataclass(frozen=True)
class ImageName:
    """A repository, with its registry if named, and an optional tag and digest."""

    repository: str
    tag: str = ""
    digest: str = ""

    @property
    def tagged(self) -> str:
        """Return the repository with its tag, if it has one."""
        return f"{self.repository}:{self.tag}" if self.tag else self.repository

    @property
    def path(self) -> str:
        """Return the repository without its registry."""
        first, slash, rest = self.repository.partition("/")
        has_registry = bool(slash) and (first == "localhost" or any(sign in first for sign in ".:"))
        return rest if has_registry else self.repository

    @property
    def familiar(self) -> str:
        """Return the repository under the name that the daemon shows."""
        if self.path == self.repository or self.repository.split("/")[0] in HUB:
            return self.path.removeprefix("library/")
        return self.repository


def image_name(text: str) -> ImageName:
    """Return the parts of a name; a colon before the last slash belongs to a registry's port."""
    name, _, digest = text.partition("@")
    directory, slash, last = name.rpartition("/")
    last, _, tag = last.partition(":")
    return ImageName(f"{directory}{slash}{last}", tag, digest)


def is_same(first: str, second: str) -> bool:
    """Return whether two names refer to the same image, such as `app` and `docker.io/library/app:latest`."""
    return _canonical(image_name(first)) == _canonical(image_name(second))


def _canonical(name: ImageName) -> tuple[str, str, str]:
    return name.familiar, name.digest, name.tag or ("" if name.digest else "latest")
