"""The lock of a stack on a Swarm: a configuration object of a fixed name, which its holder renews.

The Swarm creates one object of a name, whichever manager is asked. It does not know whether the holder still lives, so
an object that was not renewed for `LEASE` seconds counts as abandoned. Clocks of machines differ, so it is also watched
for longer than a renewal takes before it is taken away.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from datetime import datetime
from typing import TYPE_CHECKING

from docker.errors import APIError, NotFound

from twelfth.engines.docker_api import client
from twelfth.engines.docker_api.errors import CONFLICT, docker_errors, gone_is_fine
from twelfth.engines.state import holder_of, locked, this_process
from twelfth.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import docker

    from twelfth.engines.docker_api.container_spec import Body
    from twelfth.engines.state import Holder

LEASE, RENEW_EVERY, WATCH = 15.0, 4.0, 6.0
"""Seconds after which a lease that is not renewed has ended, between renewals, and for which an old one is watched."""

LABEL, RENEWED = "twelfth.lock", "twelfth.renewed"
"""Labels of the object: its holder as JSON, and how often it was renewed."""

LOST = "the lock of the stack was lost (the Swarm did not answer in time, or: invoke unlock)"


class Lease:
    """The lease of one project."""

    def __init__(self, manager: docker.APIClient, project: str) -> None:
        self.manager = manager
        self.name = f"twelfth-lock-{hashlib.sha256(project.encode()).hexdigest()[:16]}"
        self._id = ""
        self._renewed = 0.0
        """When this process last renewed its lease, by its monotonic clock."""

    @contextlib.contextmanager
    def hold(self, action: str) -> Iterator[None]:
        """Hold the lease; raises `BusyError` with the holder's name if another process has it."""
        with docker_errors():
            self._renewed = time.monotonic()
            self._id = self._taken(this_process(action))
        has_ended = threading.Event()
        renewal = threading.Thread(target=self._renew, args=(self._id, has_ended), daemon=True)
        renewal.start()
        try:
            yield
        finally:
            has_ended.set()
            renewal.join()
            with contextlib.suppress(APIError, OSError):  # it ends by itself
                self.manager.remove_config(self._id)
            self._id = ""

    def check(self) -> None:
        """Raise `EngineError` if the lease was held and is lost."""
        if self._id:
            with docker_errors():
                config = self._inspected(self._id)
            if config is None or time.monotonic() - self._renewed > LEASE:
                raise EngineError(f"{LOST}; nothing more was changed. Try: invoke status")

    def holder(self) -> Holder | None:
        """Return the process that has the lease."""
        with docker_errors():
            config = self._inspected(self.name)
        return None if config is None or _has_ended(config) else holder_of(config["Spec"]["Labels"].get(LABEL, ""))

    def remove(self) -> None:
        """Remove the lease of any holder."""
        with docker_errors(), gone_is_fine():
            self.manager.remove_config(self.name)

    def _taken(self, holder: Holder) -> str:
        labels = {LABEL: holder.to_json(), RENEWED: "0"}
        try:
            return str(self.manager.create_config(self.name, b"lock", labels)["ID"])
        except APIError as error:
            if error.status_code != CONFLICT:
                raise
        if config := self._inspected(self.name):
            if not _has_ended(config) or self._is_renewed(config):
                raise locked(holder_of(config["Spec"]["Labels"].get(LABEL, "")))
            with gone_is_fine():
                self.manager.remove_config(config["ID"])
        return str(self.manager.create_config(self.name, b"lock", labels)["ID"])

    def _is_renewed(self, config: Body) -> bool:
        """Return whether an object is renewed while it is watched; one that is replaced counts as renewed."""
        deadline = time.monotonic() + WATCH
        while time.monotonic() < deadline:
            time.sleep(RENEW_EVERY / 8)
            current = self._inspected(self.name)
            if current is None:
                return False
            if (current["ID"], current["Version"]) != (config["ID"], config["Version"]):
                return True
        return False

    def _renew(self, config_id: str, has_ended: threading.Event) -> None:
        while not has_ended.wait(RENEW_EVERY):
            with contextlib.suppress(APIError, OSError):  # `check` notices a lease that has ended
                config = self._inspected(config_id)
                if config is None:
                    return
                labels = config["Spec"]["Labels"]
                renewed = config["Spec"] | {"Labels": labels | {RENEWED: str(int(labels[RENEWED]) + 1)}}
                parameters, now = {"version": config["Version"]["Index"]}, time.monotonic()
                client.post(self.manager, f"/configs/{config_id}/update", renewed, parameters)
                self._renewed = now

    def _inspected(self, name: str) -> Body | None:
        try:
            config: Body = self.manager.inspect_config(name)
        except NotFound:
            return None
        return config


def _has_ended(config: Body) -> bool:
    return time.time() - datetime.fromisoformat(config["UpdatedAt"]).timestamp() > LEASE
