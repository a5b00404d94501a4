"""Record in the Swarm on which node each run was started, so that a run on a lost node is reported as lost.

A note is a configuration object of the Swarm that no task uses. It contains the run's record at its start.
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
"""Labels: the id of the run's node, and that an operator stopped the run."""


@dataclass(frozen=True)
class Note:
    """The note of a run: the run's id, its node, whether it was stopped, and the age of the note in seconds.

    `config` is the inspected configuration object.
    """

    run_id: str
    node: str
    is_stopped: bool
    age: float
    config: Body

    @property
    def run(self) -> Run:
        """The record of the run at its start."""
        values = json.loads(base64.b64decode(self.config["Spec"]["Data"]))
        return Run(**values | {"command": tuple(values["command"]), "overrides": tuple(values["overrides"])})


class Notes:
    """The notes of one project's runs."""

    def __init__(self, manager: docker.APIClient, project: str) -> None:
        self.manager, self.project = manager, project

    def add(self, run: Run, node: str) -> None:
        """Record that a run is started on a node."""
        labels = {RUN: run.id, f"{COMPOSE}project": self.project, NODE: node}
        with docker_errors():
            self.manager.create_config(f"{self.project}-run-{run.id}", json.dumps(asdict(run)).encode(), labels)

    def all(self, run_id: str = "") -> list[Note]:
        """Return the notes of all runs, the oldest first, or that of one run."""
        labels = [f"{RUN}={run_id}" if run_id else RUN, f"{COMPOSE}project={self.project}"]
        with docker_errors():
            configs: list[Body] = self.manager.configs(filters={"label": labels})
        return [_note(config) for config in sorted(configs, key=lambda config: str(config["CreatedAt"]))]

    def mark_stopped(self, run_id: str) -> None:
        """Record that an operator stopped a run."""
        for config in (note.config for note in self.all(run_id) if not note.is_stopped):
            changed = config["Spec"] | {"Labels": config["Spec"]["Labels"] | {STOPPED: ""}}
            with docker_errors():
                parameters = {"version": config["Version"]["Index"]}
                client.post(self.manager, f"/configs/{config['ID']}/update", changed, parameters)

    def remove(self, run_id: str) -> None:
        """Remove the note of a run."""
        for note in self.all(run_id):
            with docker_errors(), gone_is_fine():
                self.manager.remove_config(note.config["ID"])


def _note(config: Body) -> Note:
    labels, age = config["Spec"]["Labels"], time.time() - datetime.fromisoformat(config["CreatedAt"]).timestamp()
    return Note(labels[RUN], labels[NODE], STOPPED in labels, age, config)
