"""The name of an image, taken apart (https://github.com/distribution/reference/blob/main/reference.go)."""

from __future__ import annotations

from dataclasses import dataclass

HUB = ("docker.io", "index.docker.io")
"""What the daemon leaves out when it names an image, as it does `library/`."""


@dataclass(frozen=True)
class ImageName:
    """A repository, with its registry if that is named, and a tag or a digest or both or neither."""

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
        """Return the repository as the daemon names it."""
        if self.path == self.repository or self.repository.split("/")[0] in HUB:
            return self.path.removeprefix("library/")
        return self.repository


def image_name(text: str) -> ImageName:
    """Return the parts of a name; a colon before the last slash is that of a registry's port."""
    name, _, digest = text.partition("@")
    directory, slash, last = name.rpartition("/")
    last, _, tag = last.partition(":")
    return ImageName(f"{directory}{slash}{last}", tag, digest)


def is_same(one: str, other: str) -> bool:
    """Return whether two names mean one image: `app` is `docker.io/library/app:latest`."""
    first, second = map(image_name, (one, other))
    tags = [name.tag or ("" if name.digest else "latest") for name in (first, second)]
    return (first.familiar, first.digest, tags[0]) == (second.familiar, second.digest, tags[1])
