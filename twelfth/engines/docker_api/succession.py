"""Record, in a label of the new container, which container it replaces; pure.

The old container's restart policy is `no` while both exist, so that the daemon never starts both on one volume. Labels
cannot be changed afterwards, so the new container's label records what to restore.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twelfth.engines.docker_api.container_spec import Body

REPLACES = "twelfth.replaces"
"""Label: the id, name and restart policy of the container that this one replaces, as a JSON object."""

NEVER: Body = {"Name": "no", "MaximumRetryCount": 0}
"""The restart policy of a container that the daemon must not start by itself."""


def record(old: Body) -> dict[str, str]:
    """Return the label of a container that replaces an inspected one."""
    kept = {"id": old["Id"], "name": _name(old), "restart": old["HostConfig"]["RestartPolicy"]}
    return {REPLACES: json.dumps(kept, sort_keys=True)}


def replaced_by(inspected: Body) -> Body:
    """Return what a container's label records of the one that it replaces; nothing if it replaces none."""
    recorded: Body = json.loads(inspected["Config"]["Labels"].get(REPLACES) or "{}")
    return recorded


def as_made(containers: Sequence[Body]) -> list[Body]:
    """Return inspected containers, each with the name and the restart policy that it had before it was retired."""
    kept = {each["id"]: each for each in map(replaced_by, containers) if each}
    return [_restored(each, kept[each["Id"]]) if each["Id"] in kept else each for each in containers]


def _restored(inspected: Body, kept: Body) -> Body:
    host = inspected["HostConfig"] | {"RestartPolicy": kept["restart"]}
    return inspected | {"Name": f"/{kept['name']}", "HostConfig": host}


def _name(inspected: Body) -> str:
    return str(inspected["Name"]).removeprefix("/")
