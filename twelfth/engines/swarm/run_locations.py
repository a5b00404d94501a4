"""Notes of where runs went, kept in the Swarm: so that one on a node which is lost is known to be lost.

A note is a configuration object with the run as it was started, which no task has; its labels say the rest.
"""

from __future__ import annotations

import base64
import json
import time
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from twelfth.engines.docker_api import client
from twelfth.engines.docker_api.container_spec import COMPOSE
from twelfth.engines.docker_api.errors import docker_errors, gone_is_fine
from twelfth.engines.docker_api.run_spec import RUN
from twelfth.model.run import Run

if TYPE_CHECKING:
    import docker

    from twelfth.engines.docker_api.container_spec import Body

NODE = f"{RUN}.node"
STOPPED = f"{RUN}.stopped"
"""Labels: the id of the node where the run is, and that an operator stopped it."""


@dataclass(frozen=True)
class Note:
    """One run's note: its id, the node where it went, whether it was stopped, and how many seconds old it is.

    `found` is what the API answered.
    """

    identity: str
    node: str
    is_stopped: bool
    age: float
    found: Body

    @property
    def run(self) -> Run:
        """Return the record of the run as it was when it was started."""
        values = json.loads(base64.b64decode(self.found["Spec"]["Data"]))
        return Run(**values | {"command": tuple(values["command"]), "overrides": tuple(values["overrides"])})


class Notes:
    """The notes of one project's runs."""

    def __init__(self, manager: docker.APIClient, project: str) -> None:
        """Take the client of a manager, and the project."""
        self.manager, self.project = manager, project

    def add(self, run: Run, node: str) -> None:
        """Note that a run goes to a node."""
        labels = {RUN: run.id, f"{COMPOSE}project": self.project, NODE: node}
        with docker_errors():
            self.manager.create_config(f"{self.project}-run-{run.id}", json.dumps(asdict(run)).encode(), labels)

    def all(self, identity: str = "") -> list[Note]:
        """Return the notes of all runs, the oldest first, or that of one."""
        wanted = {"label": [f"{RUN}={identity}" if identity else RUN, f"{COMPOSE}project={self.project}"]}
        with docker_errors():
            found: list[Body] = self.manager.configs(filters=wanted)
        return [_note(each) for each in sorted(found, key=lambda each: str(each["CreatedAt"]))]

    def mark_stopped(self, identity: str) -> None:
        """Note that an operator stopped a run; the SDK has no call for that."""
        for found in (note.found for note in self.all(identity) if not note.is_stopped):
            changed = found["Spec"] | {"Labels": found["Spec"]["Labels"] | {STOPPED: ""}}
            with docker_errors():
                wanted = {"version": found["Version"]["Index"]}
                client.post(self.manager, f"/configs/{found['ID']}/update", changed, wanted)

    def remove(self, identity: str) -> None:
        """Remove the note of a run."""
        for note in self.all(identity):
            with docker_errors(), gone_is_fine():
                self.manager.remove_config(note.found["ID"])


def _note(found: Body) -> Note:
    labels, age = found["Spec"]["Labels"], time.time() - datetime.fromisoformat(found["CreatedAt"]).timestamp()
    return Note(labels[RUN], labels[NODE], STOPPED in labels, age, found)
