"""Send signals to the processes of an `exec`, which the Engine API cannot: they are found by their environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import docker

SHELL = ["/bin/sh", "-c"]

SIGNAL = """\
for file in $(grep -slF "$1" /proc/[0-9]*/environ); do
    file=${file#/proc/}
    kill "-$2" "${file%/environ}"
done
"""
"""Sends a signal to all processes with a variable in their environment."""


def send_signal(api: docker.APIClient, container: str, mark: str, number: int, user: str = "") -> None:
    """Send a signal to the processes whose environment has the mark; in an image without a shell it has no effect."""
    sender = api.exec_create(container, [*SHELL, SIGNAL, "sh", mark, str(number)], user=user)["Id"]
    api.exec_start(sender, detach=True)
