"""Read a container's log with separate streams in order, which the SDK's methods cannot do.

They also treat a broken connection, such as after a crash of the daemon, as the end of the log; here it is an error.
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
    """Yield (STDOUT or STDERR, bytes); with `follow`, until the container has exited.

    `last` limits it to this many lines before the end, `since` to output of that time or later.
    Call it within `docker_errors`.
    """
    inspected = api.inspect_container(name)
    if inspected["HostConfig"]["LogConfig"]["Type"] == NO_LOG["Type"]:
        is_run = RUN in inspected["Config"]["Labels"]
        hint = "see: invoke history" if is_run else "name another, then: invoke up"
        raise NoLogError(f"its output is not stored (logging driver none); {hint}")
    terminal = inspected["Config"]["Tty"]
    query = parameters(follow=follow, last=last, since=since)
    with client.stream(api, f"/containers/{name}/logs", query, None) as answer:
        read = answer.raw.read1 if follow else answer.raw.read  # line by line as it arrives, or in large pieces
        yield from (multiplex.raw if terminal else multiplex.output)(read)


def parameters(*, follow: bool, last: int | None, since: datetime | None) -> dict[str, str | int]:
    """Return the parameters of the Engine API for a log, or for a part of it."""
    values = {"stdout": 1, "stderr": 1, "follow": int(follow), "tail": "all" if last is None else last}
    return values | ({"since": f"{since.timestamp():.9f}"} if since else {})
