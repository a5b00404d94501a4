"""The services of a Compose file: each key that twelfth honours and what reads it."""

from __future__ import annotations

import re
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any

from stack.model import Build, Healthcheck, Limits, Local, Port, Service
from stack.mounts import MOUNTS, read_mounts
from stack.node import Scope, refusal
from stack.notations import address, duration, port, published, size, words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from stack.model import Pairs
    from stack.node import Node

_RESTART = re.compile(r"no|always|unless-stopped|on-failure(:[0-9]+)?")


def read_services(
    declared: Mapping[str, Mapping[str, Node]], variables: Mapping[str, str], directory: Path
) -> tuple[Service, ...]:
    """Return the services in the order in which they start: what one depends on first, else as in the file.

    `declared` has the nodes of the four top-level keys by name. Raise MisuseError for what is not honoured, not valid,
    or refers to nothing.
    """
    if not declared["services"]:
        raise refusal("services", "is missing or empty; declare a service")
    scope = _scope(declared, variables, directory)
    services = {name: _service(name, node, scope) for name, node in declared["services"].items()}
    return tuple(services[name] for name in _start_order(services))


def _scope(declared: Mapping[str, Mapping[str, Node]], variables: Mapping[str, str], directory: Path) -> Scope:
    """Return what a service may refer to; the network `default` is always there."""
    for node in declared["volumes"].values():
        if node.value is not None:
            node.fields()
    networks = frozenset({"default", *declared["networks"]})
    configs = {name: _config_file(node, directory) for name, node in declared["configs"].items()}
    return Scope(
        variables, directory, frozenset(declared["services"]), networks, frozenset(declared["volumes"]), configs
    )


def _config_file(node: Node, directory: Path) -> str:
    node.fields("file")
    return str(node.field("file").below(directory))


def _start_order(services: Mapping[str, Service]) -> Iterator[str]:
    sorter = TopologicalSorter({name: service.depends_on for name, service in services.items()})
    try:
        sorter.prepare()
    except CycleError as error:
        raise refusal("services", f"depend on each other: {' -> '.join(error.args[1][::-1])}; remove one") from error
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=list(services).index)
        yield from ready
        sorter.done(*ready)


def _service(name: str, node: Node, scope: Scope) -> Service:
    given = node.fields(*_READERS, *MOUNTS, "deploy")
    node.field("image")
    readers = {key: reader for key, reader in _READERS.items() if key in given}
    values: dict[str, Any] = {field: read(given[key], scope) for key, (field, read) in readers.items()}
    values["networks"] = values.get("networks") or ("default",)
    if "deploy" in given:
        values |= _deploy(given["deploy"])
    return Service(name=name, mounts=read_mounts(given, scope), **values)


def _build(node: Node, scope: Scope) -> Build:
    if isinstance(node.value, str):
        return Build(node.below(scope.directory))
    given = node.fields("context", "args")
    context = given["context"].below(scope.directory) if "context" in given else scope.directory
    return Build(context, _pairs(given["args"], scope) if "args" in given else ())


def _pairs(node: Node, scope: Scope) -> Pairs:
    """Return names and values; a name without a value has the variable's, and is left out where that is unset."""
    found = _listed(node) if isinstance(node.value, list) else _mapped(node)
    given = {name: scope.variables.get(name) if value is None else value for name, value in found.items()}
    return tuple(sorted((name, value) for name, value in given.items() if value is not None))


def _mapped(node: Node) -> dict[str, str | None]:
    for name, entry in node.mapping().items():
        if name.startswith("x-") or not name:
            raise entry.refusal("is no name of a variable for Compose; rename it")
    return {name: None if entry.value is None else entry.scalar() for name, entry in node.mapping().items()}


def _listed(node: Node) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for entry in node.items():
        name, equals, value = entry.text().partition("=")
        if not name or name != name.rstrip():
            raise entry.refusal("has no valid name before the equals sign; write NAME=value")
        if name in found:
            raise entry.refusal(f"names {name} a second time; remove one")
        found[name] = value if equals else None
    return found


def _command(node: Node, _scope: Scope) -> tuple[str, ...] | None:
    if node.value is None:
        return None
    return node.texts() if isinstance(node.value, list) else node.parsed(words)


def _references(node: Node, known: frozenset[str], kind: str) -> tuple[str, ...]:
    """Return the names of a list, or of a mapping's keys, all of which the file has to declare."""
    entries = dict.fromkeys(node.once(), node) if isinstance(node.value, list) else node.mapping()
    for name, entry in entries.items():
        if name not in known:
            raise entry.refusal(f"refers to the {kind} {name}, which is not declared; declare it under {kind}s")
    return tuple(entries)


def _networks(node: Node, scope: Scope) -> tuple[str, ...]:
    if isinstance(node.value, dict):
        for entry in node.mapping().values():
            if entry.value is not None:
                entry.fields()
    return _references(node, scope.networks, "network")


def _depends_on(node: Node, scope: Scope) -> tuple[str, ...]:
    if isinstance(node.value, dict):
        for entry in node.mapping().values():
            entry.fields("condition")
            condition = entry.field("condition")
            if condition.text() != "service_started":
                raise condition.refusal(f"is {condition.text()}, which is not honoured; write service_started")
    return _references(node, scope.services, "service")


def _ports(node: Node, _scope: Scope) -> tuple[Port, ...]:
    ports = tuple(_long_port(entry) if isinstance(entry.value, dict) else _short_port(entry) for entry in node.items())
    for entry, found in zip(node.items(), ports, strict=True):
        if ports.count(found) > 1:
            raise entry.refusal(f"publishes {found.published} a second time; remove one")
    return ports


def _short_port(node: Node) -> Port:
    if not isinstance(node.value, str):
        raise node.refusal(f'publishes no port; write "{node.value}:{node.value}"')
    return node.parsed(port)


def _long_port(node: Node) -> Port:
    given = node.fields("target", "published", "host_ip", "protocol", "mode")
    for key, only in (("protocol", "tcp"), ("mode", "ingress")):
        if key in given and given[key].text() != only:
            raise given[key].refusal(f"is {given[key].text()}, which is not honoured by twelfth; write {only}")
    host = {"host": given["host_ip"].parsed(address)} if "host_ip" in given else {}
    return Port(_port_number(node.field("target")), _port_number(node.field("published")), **host)


def _port_number(node: Node) -> int:
    return node.parsed(published) if isinstance(node.value, str) else published(str(node.whole(1)))


def _deploy(node: Node) -> dict[str, object]:
    if node.value is None:
        return {}
    given = node.fields("replicas", "resources")
    found: dict[str, object] = {}
    if "replicas" in given:
        found["replicas"] = given["replicas"].whole()
    if "resources" in given:
        found["limits"] = _limits(given["resources"].fields("limits").get("limits"))
    return found


def _limits(node: Node | None) -> Limits:
    return Limits(**_fields(node, _LIMITS)) if node else Limits()


def _healthcheck(node: Node, _scope: Scope) -> Healthcheck:
    values = _fields(node, _HEALTHCHECK)
    node.field("test")
    return Healthcheck(**values)


def _test(node: Node) -> tuple[str, ...]:
    if isinstance(node.value, str):
        return ("CMD-SHELL", node.value)
    test = node.texts()
    if test[:1] not in (("CMD",), ("CMD-SHELL",)) or not test[1:]:
        raise node.refusal("is no test; write a text, [CMD, program, ...] or [CMD-SHELL, command]")
    return test


def _restart(node: Node, _scope: Scope) -> str:
    if not _RESTART.fullmatch(node.text()):
        raise node.refusal(f'is {node.text()!r}; write "no", always, unless-stopped or on-failure')
    return node.text()


def _local(node: Node, scope: Scope) -> Local:
    given = node.fields("command", "environment", "port")
    environment = _pairs(given["environment"], scope) if "environment" in given else ()
    number = _port_number(given["port"]) if "port" in given else None
    return Local(node.field("command").texts(), environment, number)


def _fields(node: Node, readers: Mapping[str, Callable[[Node], object]]) -> dict[str, Any]:
    return {key: readers[key](below) for key, below in node.fields(*readers).items()}


_LIMITS: Mapping[str, Callable[[Node], object]] = {
    "cpus": lambda node: node.number(),
    "memory": lambda node: node.parsed(size),
    "pids": lambda node: node.whole(1),
}

_HEALTHCHECK: Mapping[str, Callable[[Node], object]] = {
    "test": _test,
    "interval": lambda node: node.parsed(duration),
    "timeout": lambda node: node.parsed(duration),
    "start_period": lambda node: node.parsed(duration),
    "retries": lambda node: node.whole(),
}

_READERS: Mapping[str, tuple[str, Callable[[Node, Scope], object]]] = {
    "image": ("image", lambda node, _scope: node.filled()),
    "build": ("build", _build),
    "command": ("command", _command),
    "environment": ("environment", _pairs),
    "networks": ("networks", _networks),
    "ports": ("ports", _ports),
    "depends_on": ("depends_on", _depends_on),
    "user": ("user", lambda node, _scope: node.text() or None),
    "init": ("init", lambda node, _scope: node.flag()),
    "read_only": ("read_only", lambda node, _scope: node.flag()),
    "cap_drop": ("cap_drop", lambda node, _scope: node.once()),
    "security_opt": ("security_opt", lambda node, _scope: node.once()),
    "healthcheck": ("healthcheck", _healthcheck),
    "restart": ("restart", _restart),
    "stop_grace_period": ("stop_grace", lambda node, _scope: node.parsed(duration)),
    "x-local": ("local", _local),
    "x-release": ("release_command", lambda node, _scope: node.texts()),
}
