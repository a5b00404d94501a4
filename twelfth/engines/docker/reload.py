"""Make a container load changed configuration files that pass its service's check."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from twelfth.engines.contract import NO_RELOAD
from twelfth.engines.docker_api import config_files, mounts
from twelfth.engines.docker_api.config_files import Loaded
from twelfth.engines.docker_api.container_spec import check_body
from twelfth.engines.docker_api.errors import docker_errors, gone_is_fine, one_line
from twelfth.errors import BusyError, EngineError

if TYPE_CHECKING:
    import docker

    from twelfth.engines.docker_api.config_files import ConfigFiles, Version
    from twelfth.engines.docker_api.container_spec import Body
    from twelfth.model.service import Service
    from twelfth.model.snapshot import Replica
    from twelfth.model.stack import Stack

LAST_LINES, LONGEST = 3, 400
"""How many lines and characters of a check's output are shown: its cause comes before its conclusion."""


def reload(api: docker.APIClient, config: ConfigFiles, stack: Stack, service: Service, replica: Replica) -> None:
    """Check the service's files, copy them into the replica's slot, and send the replica its signal.

    The loaded version is recorded last: if this is killed before, the next `up` reloads it.
    """
    version = check(api, config, stack, service, replica)
    loaded = _loaded(api, config, replica)
    if loaded is None or service.reload is None:
        raise EngineError(NO_RELOAD.format(replica.name))
    previous = loaded.current or loaded.previous
    _load(api, config, replica, Loaded(loaded.slot, version, previous), service.reload.signal)


def restore(api: docker.APIClient, config: ConfigFiles, replica: Replica, signal: str) -> bool:
    """Make a replica load its files from before the last reload again; return whether they are known."""
    loaded = _loaded(api, config, replica)
    if loaded is None or loaded.previous is None:
        return False
    _load(api, config, replica, replace(loaded, current=loaded.previous), signal)
    return True


def _load(api: docker.APIClient, config: ConfigFiles, replica: Replica, loaded: Loaded, signal: str) -> None:
    config.write_record(replace(loaded, current=None))
    _copy(config, cast("Version", loaded.current), loaded)
    with docker_errors():
        api.kill(replica.id, signal)
    config.write_record(loaded)


def _copy(config: ConfigFiles, version: Version, loaded: Loaded) -> None:
    """Copy a version into a slot, or the previous one again if that fails: a full disk leaves torn files."""
    try:
        config.copy(version, loaded.slot)
    except BaseException:
        if loaded.previous:
            with contextlib.suppress(EngineError, BusyError):
                config.copy(loaded.previous, loaded.slot)
        raise


def _loaded(api: docker.APIClient, config: ConfigFiles, replica: Replica) -> Loaded | None:
    with docker_errors():
        return config.loaded(api.inspect_container(replica.id))


def check(api: docker.APIClient, config: ConfigFiles, stack: Stack, service: Service, replica: Replica) -> Version:
    """Return the current version of a service's files.

    Raises `EngineError` with the last lines of the service's check if it rejects them.
    """
    version = config.place(service.name, config_files.declared(service))
    if service.reload and service.reload.check:
        body = check_body(stack, service, replica.id)
        remove_check(api, stack, replica)
        files = config.mounts(version.directory, version.digests)
        code, output = _run(api, mounts.with_files(body, files), _name(stack, replica))
        if code:
            why = _last_lines(output) or f"exit code {code}"
            rest = "it still runs with the previous one; fix that, then: invoke up"
            raise EngineError(f"{replica.name} rejects its configuration ({why}); {rest}")
    return version


def remove_check(api: docker.APIClient, stack: Stack, replica: Replica) -> None:
    """Remove the container of a check whose client was killed."""
    with docker_errors(), gone_is_fine():
        api.remove_container(_name(stack, replica), force=True, v=True)


def _name(stack: Stack, replica: Replica) -> str:
    return f"{stack.project}-{replica.name}-check"


def _last_lines(output: bytes) -> str:
    lines = output.decode(errors="replace").strip().splitlines()[-LAST_LINES:]
    return "".join(character for character in one_line("; ".join(lines), LONGEST) if character.isprintable())


def _run(api: docker.APIClient, body: Body, name: str) -> tuple[int, bytes]:
    with docker_errors():
        created = api.create_container_from_config(body, name)["Id"]
        try:
            api.start(created)
            return api.wait(created)["StatusCode"], api.logs(created)
        finally:
            api.remove_container(created, force=True, v=True)
