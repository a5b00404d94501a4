"""What a Dockerfile copies to where a directory of the build context is mounted."""

from __future__ import annotations

import pytest

from twelfth.build_context.copied import is_copied

FROM = "FROM python\n"


@pytest.mark.parametrize(
    ("text", "source", "target", "expected"),
    [
        ("WORKDIR /srv\nCOPY . .", "app", "/srv/app", True),
        ("WORKDIR /srv\nCOPY . .", "app", "/srv/app/", True),
        ("WORKDIR /srv\nCOPY . .", "app", "/srv/other", False),
        ("WORKDIR /srv\nCOPY . .", "data", "/data", False),
        ("WORKDIR /srv\nCOPY . .", ".", "/srv", True),
        ("WORKDIR /srv\nADD --chown=1 app ./app/", "app", "/srv/app", True),
        ("WORKDIR /srv\nCOPY app .", "app", "/srv", True),
        ("WORKDIR /srv\nCOPY app .", "app", "/srv/app", False),
        ("WORKDIR /srv\nCOPY app app", "app/api", "/srv/app/api", True),
        ("WORKDIR /srv\nCOPY app/main.py app/settings.py app/", "app", "/srv/app", True),
        ("WORKDIR /srv\nCOPY app/main.py app/", "apps", "/srv/apps", False),
        ('WORKDIR /srv\nCOPY ["./app", "/code"]', "app", "/code", True),
        ("WORKDIR /srv\nCOPY app/* /code/", "app", "/code", True),
        ("WORKDIR srv\nCOPY . .", "app", "/srv/app", False),  # the base image may have another directory
        ("ARG HOME=/srv\nENV APP_HOME ${HOME}/web\nWORKDIR $APP_HOME\nCOPY . .", "app", "/srv/web/app", True),
        ("ARG HOME\nWORKDIR ${HOME:-/srv}\nCOPY . .", "app", "/from/args/app", True),
        ("WORKDIR /srv\nCOPY --chown=1 \\\n  # a comment\n  . .\r\n", "app", "/srv/app", True),
        ("WORKDIR /srv\nCOPY --from=other . .", "app", "/srv/app", False),
        ("AS base\nWORKDIR /srv\nFROM base\nCOPY . .", "app", "/srv/app", True),
        ("AS base\nWORKDIR /srv\nFROM other\nCOPY . .", "app", "/srv/app", False),
        ("\n\nWORKDIR\t'/srv'\nCOPY\t.\t.", "app", "/srv/app", True),
        ("ARG BASE\nFROM $BASE\nRUN <<END\nselect 1\nfrom\n t\nEND\nCOPY . /srv", "app", "/srv/app", True),
        ("COPY [1, {}]\nCOPY []\nCOPY . /srv", "app", "/srv/app", True),
        ("WORKDIR /srv\nCOPY 'a b' .\nCOPY 'unfinished\nCOPY\nCOPY x", "app", "/srv/app", False),
        ("", "app", "/app", False),
    ],
)
def test_directory_is_mounted_over_its_copy(text: str, source: str, target: str, expected: bool) -> None:  # noqa: FBT001
    """The text is known, the base image is not."""
    assert expected == is_copied(
        f"FROM python {text}" if text.startswith("AS") else FROM + text,
        source,
        target,
        {"HOME": "/from/args"} if "ARG HOME\n" in text else {},
    )


def test_invalid_dockerfile_is_left_to_the_builder() -> None:
    """A command that does not build it must not fail."""
    assert is_copied("WORKDIR /srv\nCOPY . .", "app", "/srv/app", {})
