"""Record, in a label of the new container, which container it replaces, and name both while both exist; pure.

Both have the same number, and so the same declared name: it changes hands when the old container is retired or removed.

If they cannot run at the same time, the old container's restart policy is `no` while both exist, so that the daemon
never starts both on one volume. Labels cannot be changed afterwards, so the new container's label records what to
restore.
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


def label(old: Body) -> dict[str, str]:
    """Return the label of a container that replaces an inspected one."""
    values = {"id": old["Id"], "name": _name(old), "restart": old["HostConfig"]["RestartPolicy"]}
    return {REPLACES: json.dumps(values, sort_keys=True)}


def name_before(name: str, old_id: str) -> str:
    """Return the name of a container until it gets its declared one; Compose names its new containers like that."""
    return f"{old_id[:12]}_{name}"


def name_after(name: str, old_id: str) -> str:
    """Return the name of the old container when the new one has its declared one."""
    return f"{name}_{old_id[:12]}"


def replaced_by(inspected: Body) -> Body:
    """Return the id, name and restart policy of the container that this one replaces; nothing if it replaces none."""
    recorded: Body = json.loads(inspected["Config"]["Labels"].get(REPLACES) or "{}")
    return recorded


def before_retirement(containers: Sequence[Body]) -> list[Body]:
    """Return inspected containers with the names and restart policies that they had before they were retired."""
    replaced = {values["id"]: values for values in map(replaced_by, containers) if values}
    return [
        _restored(container, replaced[container["Id"]]) if container["Id"] in replaced else container
        for container in containers
    ]


def _restored(inspected: Body, values: Body) -> Body:
    host = inspected["HostConfig"] | {"RestartPolicy": values["restart"]}
    return inspected | {"Name": f"/{values['name']}", "HostConfig": host}


def _name(inspected: Body) -> str:
    return str(inspected["Name"]).removeprefix("/")
