"""What a container printed, as its daemon keeps it: stream by stream and in order, which the SDK's calls cannot do.

They also take a log that breaks off, as when the daemon goes away, for one that has ended; here that is an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twelfth.engines import multiplex
from twelfth.engines.docker_api import client
from twelfth.engines.docker_api.run_spec import NO_LOG, RUN
from twelfth.errors import NoLogError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    import docker


def output(
    api: docker.APIClient, name: str, *, follow: bool, last: int | None, since: datetime | None
) -> Iterator[tuple[int, bytes]]:
    """Yield (STDOUT or STDERR, bytes); with `follow`, until the container has ended.

    Begins `last` lines before the end and not before `since`, where these are given.
    To be called within `docker_errors`.
    """
    inspected = api.inspect_container(name)
    if inspected["HostConfig"]["LogConfig"]["Type"] == NO_LOG["Type"]:
        is_run = RUN in inspected["Config"]["Labels"]
        hint = "see: invoke history" if is_run else "name another, then: invoke up"
        raise NoLogError(f"what it printed is kept nowhere (logging driver none); {hint}")
    terminal = inspected["Config"]["Tty"]
    wanted = parameters(follow=follow, last=last, since=since)
    with client.stream(api, f"/containers/{name}/logs", wanted, None) as answer:
        read = answer.raw.read1 if follow else answer.raw.read  # what comes, line by line, or in large pieces
        yield from (multiplex.raw if terminal else multiplex.output)(read)


def parameters(*, follow: bool, last: int | None, since: datetime | None) -> dict[str, str | int]:
    """Return how the Engine API is asked for a log, or for a part of it."""
    wanted = {"stdout": 1, "stderr": 1, "follow": int(follow), "tail": "all" if last is None else last}
    return wanted | ({"since": f"{since.timestamp():.9f}"} if since else {})
