"""Make a container load changed configuration files that pass its service's check."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twelfth.engines.docker_api import config_files
from twelfth.engines.docker_api.container_spec import check_body
from twelfth.engines.docker_api.errors import docker_errors, gone_is_fine, one_line
from twelfth.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import docker

    from twelfth.engines.docker_api.config_files import Copies, File
    from twelfth.engines.docker_api.container_spec import Body
    from twelfth.model.snapshot import Replica
    from twelfth.model.stack import Service, Stack

LAST_LINES, LONGEST = 3, 400
"""How many lines and characters of a check's output are shown: its cause comes before its conclusion."""


def reload(api: docker.APIClient, stack: Stack, service: Service, replica: Replica, signal: str) -> None:
    """Check the service's files, write them in place, and send the replica its signal.

    The digests of the loaded files are recorded last: if this is killed before, the next `up` reloads them.
    """
    files, copies = config_files.declared(service), config_files.copies(stack, service.name, replica.number)
    check(api, stack, service, replica, files)
    copies.save_previous(replica.id)
    _load(api, copies, replica, files, signal)


def restore(api: docker.APIClient, stack: Stack, service: Service, replica: Replica, signal: str) -> bool:
    """Make a replica load its files from before the last reload again; return whether they are known."""
    copies = config_files.copies(stack, service.name, replica.number)
    if files := copies.previous_files(config_files.declared(service)):
        _load(api, copies, replica, files, signal)
    return bool(files)


def _load(api: docker.APIClient, copies: Copies, replica: Replica, files: Mapping[str, File], signal: str) -> None:
    copies.keep(replica.id, {})
    copies.put(files)
    with docker_errors():
        api.kill(replica.id, signal)
    copies.keep(replica.id, config_files.digests(files))


def check(api: docker.APIClient, stack: Stack, service: Service, replica: Replica, files: Mapping[str, File]) -> None:
    """Raise `EngineError` with the last lines of the service's check if it rejects the files."""
    if not (service.reload and service.reload.check):
        return
    copies = config_files.copies(stack, service.name, replica.number).checked
    copies.put(files)
    body = check_body(stack, copies.mounted_by(service), replica.id)
    remove_check(api, stack, replica)
    code, output = _run(api, body, _name(stack, replica))
    if code:
        why = _last_lines(output) or f"exit code {code}"
        rest = "it still runs with the previous one; fix that, then: invoke up"
        raise EngineError(f"{replica.name} rejects its configuration ({why}); {rest}")


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
