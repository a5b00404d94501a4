"""What becomes of each key of a service, and how the others are refused."""

from __future__ import annotations

from pathlib import Path
from textwrap import indent

import pytest

from stack import compose
from stack.errors import MisuseError
from stack.model import Build, Healthcheck, Limits, Local, Mount, Port, Service

HERE = Path("/project")
TOP = "networks: {n: , inner: {internal: true}}\nvolumes: {data: }\nconfigs: {conf: {file: ./web/conf}}\n"
PORT_ADVICE = 'publish one TCP port, such as "8000:8000" or "127.0.0.1:8000:8000"'
VOLUME_ADVICE = "only a named volume is honoured, NAME:/TARGET or NAME:/TARGET:ro; use configs for files"


def service(keys: str, **variables: str) -> Service:
    """Return the service `a` with these keys, `b` standing beside it."""
    text = "services:\n  b: {image: b}\n  a:\n    image: a\n" + indent(keys, "    ") + "\n" + TOP
    return next(one for one in compose.read(text, variables, HERE).services if one.name == "a")


@pytest.mark.parametrize(
    ("keys", "field", "expected"),
    [
        ("build: .", "build", Build(HERE)),
        ("build: {context: ./sub/../app, args: {B: 1, A: x}}", "build", Build(HERE / "app", (("A", "x"), ("B", "1")))),
        ("build: {args: [A=1, GIVEN, UNSET]}", "build", Build(HERE, (("A", "1"), ("GIVEN", "yes")))),
        ("command: [a, '', 'b c']", "command", ("a", "", "b c")),
        ("command: []", "command", ()),
        ("command:", "command", None),
        (
            "environment: {B: 1.50, A: true, GIVEN: , UNSET: }",
            "environment",
            (("A", "true"), ("B", "1.5"), ("GIVEN", "yes")),
        ),
        ("environment: [B=1=2, A=, GIVEN, UNSET]", "environment", (("A", ""), ("B", "1=2"), ("GIVEN", "yes"))),
        ("init: true", "networks", ("default",)),
        ("networks: []", "networks", ("default",)),
        ("networks: [n, inner]", "networks", ("n", "inner")),
        ("networks: {inner: , n: {}}", "networks", ("inner", "n")),
        ("volumes: ['data:/a/']", "mounts", (Mount("volume", "/a", "data"),)),
        ("volumes: ['data:/a:ro']", "mounts", (Mount("volume", "/a", "data", read_only=True),)),
        ("volumes: [{type: volume, source: data, target: /a}]", "mounts", (Mount("volume", "/a", "data"),)),
        ("volumes: [{type: tmpfs, target: /a}]", "mounts", (Mount("tmpfs", "/a"),)),
        ("configs: [conf]", "mounts", (Mount("config", "/conf", "/project/web/conf", read_only=True),)),
        (
            "configs: [{source: conf, target: /c}]",
            "mounts",
            (Mount("config", "/c", "/project/web/conf", read_only=True),),
        ),
        ("tmpfs: /run", "mounts", (Mount("tmpfs", "/run"),)),
        ("tmpfs: [/run, /tmp]", "mounts", (Mount("tmpfs", "/run"), Mount("tmpfs", "/tmp"))),
        ("ports: ['80:8000', '[::1]:81:8000/tcp']", "ports", (Port(8000, 80), Port(8000, 81, "::1"))),
        ("ports: [{target: 8000, published: '80', host_ip: 127.0.0.1}]", "ports", (Port(8000, 80, "127.0.0.1"),)),
        ("depends_on: [b]", "depends_on", ("b",)),
        ("depends_on: {b: {condition: service_started}}", "depends_on", ("b",)),
        ("deploy: {replicas: 3}", "replicas", 3),
        ("deploy: {replicas: '${UNSET:-2}'}", "replicas", 2),
        ("deploy: {resources: {limits: {cpus: 0.5, memory: 1.5gb, pids: 9}}}", "limits", Limits(0.5, 1610612736, 9)),
        ("deploy: {resources: {limits: {cpus: '1', memory: '1000', pids: '9'}}}", "limits", Limits(1.0, 1000, 9)),
        ("deploy: {resources: {limits: {cpus: 0.00001}}}", "limits", Limits(0.00001)),
        ("user: '1000'", "user", "1000"),
        ("read_only: ${UNSET:-true}", "read_only", True),
        ("read_only: ${GIVEN}", "read_only", True),
        ("cap_drop: [ALL]", "cap_drop", ("ALL",)),
        ("security_opt: ['no-new-privileges:true']", "security_opt", ("no-new-privileges:true",)),
        ("healthcheck: {test: a b}", "healthcheck", Healthcheck(("CMD-SHELL", "a b"))),
        (
            "healthcheck: {test: [CMD, a], interval: 1m30s, timeout: 500ms, start_period: 1.5h, retries: 3}",
            "healthcheck",
            Healthcheck(("CMD", "a"), 90.0, 0.5, 5400.0, 3),
        ),
        ("restart: no", "restart", "no"),
        ("restart: on-failure:3", "restart", "on-failure:3"),
        ("stop_grace_period: 1w2d3us", "stop_grace", 777600.000003),
        ("x-local: {command: [a, <port>]}", "local", Local(("a", "<port>"))),
        ("x-local: {command: [a], environment: {A: 1}, port: '80'}", "local", Local(("a",), (("A", "1"),), 80)),
    ],
)
def test_key_is_read(keys: str, field: str, expected: object) -> None:
    """Each honoured key, in each of its syntaxes, becomes the model's value."""
    found = service(keys, GIVEN="yes")

    assert expected == getattr(found, field)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a b", ("a", "b")),
        ("  a\tb\n", ("a", "b")),
        ("'a b' \"c d\"e''", ("a b", "c de")),
        ("'' \"\"", ("", "")),
        (r"a\ b \"c \t '\t'", ("a b", '"c', "\t", r"\t")),
        (r'"a\"b\\c"', (r"a\"b\c".replace('\\"', '"'),)),
        ("'a;b' \\| é#x", ("a;b", "|", "é#x")),
        ("", ()),
    ],
)
def test_command_line_is_split_as_compose_splits_it(line: str, expected: tuple[str, ...]) -> None:
    """Quotes and backslashes have the meaning that go-shellwords gives them, not the shell's."""
    found = service("command: $LINE", LINE=line)

    assert expected == found.command


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("privileged: true", "privileged is not honoured by twelfth; remove it"),
        ("env_file: .env", "env_file is not honoured by twelfth; name the variables under environment"),
        ("build: {dockerfile: x}", "build.dockerfile is not honoured by twelfth; remove it"),
        (
            "build: https://github.com/x/y",
            "build is https://github.com/x/y, which twelfth does not follow; write a path",
        ),
        ("deploy: {mode: global}", "deploy.mode is not honoured by twelfth; remove it"),
        (
            "deploy: {resources: {reservations: {}}}",
            "deploy.resources.reservations is not honoured by twelfth; remove it",
        ),
        (
            "deploy: {resources: {limits: {memory: 1000}}}",
            "deploy.resources.limits.memory must be text, not a number; quote it",
        ),
        ("deploy: {replicas: -1}", "deploy.replicas is -1; the least is 0"),
        ("deploy: {replicas: many}", "deploy.replicas is 'many'; write a whole number"),
        ("user: 1000", "user must be text, not a number; quote it"),
        ("command: [a, 1]", "command[1] must be text, not a number; quote it"),
        ("command: a | b", "command needs a shell from '| b' on; write a list, or [sh, -c, ...]"),
        ("command: a 'b", 'command needs a shell from "\'b" on; write a list, or [sh, -c, ...]'),
        ("environment:", "environment must be a mapping, not null; write it so"),
        ("environment: [A=1, A=2]", "environment[1] names A a second time; remove one"),
        ("environment: ['A =1']", "environment[0] has no valid name before the equals sign; write NAME=value"),
        ("environment: {x-a: 1}", "environment.x-a is no name of a variable for Compose; rename it"),
        ("environment: {A: [1]}", "environment.A must be text, a number or a boolean, not a list; write it so"),
        ("networks: [m]", "networks refers to the network m, which is not declared; declare it under networks"),
        ("networks: {n: {aliases: [x]}}", "networks.n.aliases is not honoured by twelfth; remove it"),
        ("volumes: [./a:/b]", f"volumes[0] is ./a:/b; {VOLUME_ADVICE}"),
        ("volumes: [/b]", f"volumes[0] is /b; {VOLUME_ADVICE}"),
        ("volumes: ['v:/b']", f"volumes[0] is v:/b; {VOLUME_ADVICE}"),
        (
            "volumes: [{type: bind, source: ., target: /b}]",
            "volumes[0].type is bind, which is not honoured by twelfth; use a volume, tmpfs or configs",
        ),
        (
            "volumes: ['other:/b']",
            "volumes[0] refers to the volume other, which is not declared; declare it under volumes",
        ),
        ("volumes: ['data:/b']\ntmpfs: /b/", "tmpfs mounts /b a second time; remove one"),
        ("configs: [other]", "configs[0] refers to the config other, which is not declared; declare it under configs"),
        ("configs: [{source: conf, mode: 0440}]", "configs[0].mode is not honoured by twelfth; remove it"),
        ("tmpfs: '/run:size=1m'", "tmpfs is '/run:size=1m'; write an absolute path without options"),
        ("ports: [8000]", 'ports[0] publishes no port; write "8000:8000"'),
        ("ports: ['8000']", f"ports[0] is '8000'; {PORT_ADVICE}"),
        ("ports: ['80-81:80-81']", f"ports[0] is '80-81:80-81'; {PORT_ADVICE}"),
        ("ports: ['53:53/udp']", f"ports[0] is '53:53/udp'; {PORT_ADVICE}"),
        ("ports: ['80:70000']", "ports[0] has the port 70000; use one from 1 to 65535"),
        ("ports: ['local:80:80']", "ports[0] has the address 'local'; write an IP address such as 127.0.0.1"),
        ("ports: [{target: 80}]", "ports[0].published is missing; add it"),
        (
            "ports: [{target: 80, published: 80-81}]",
            "ports[0].published is '80-81'; publish one port, ranges are not honoured by twelfth",
        ),
        (
            "ports: [{target: 80, published: 80, mode: host}]",
            "ports[0].mode is host, which is not honoured by twelfth; write ingress",
        ),
        ("depends_on: [c]", "depends_on refers to the service c, which is not declared; declare it under services"),
        (
            "depends_on: {b: {condition: service_healthy}}",
            "depends_on.b.condition is service_healthy, which is not honoured; write service_started",
        ),
        ("init: maybe", "init is 'maybe'; write true or false"),
        ("cap_drop: [ALL, ALL]", "cap_drop[0] says ALL a second time; remove one"),
        ("healthcheck: {disable: true}", "healthcheck.disable is not honoured by twelfth; remove it"),
        ("healthcheck: {interval: 1s}", "healthcheck.test is missing; add it"),
        (
            "healthcheck: {test: [NONE]}",
            "healthcheck.test is no test; write a text, [CMD, program, ...] or [CMD-SHELL, command]",
        ),
        ("healthcheck: {test: a, interval: 5}", "healthcheck.interval must be text, not a number; quote it"),
        ("healthcheck: {test: a, interval: 5x}", "healthcheck.interval is '5x'; write a duration such as 90s or 1m30s"),
        ("stop_grace_period: -5s", "stop_grace_period is '-5s'; write a duration such as 90s or 1m30s"),
        ("restart: never", "restart is 'never'; write \"no\", always, unless-stopped or on-failure"),
        ("x-local: {}", "x-local.command is missing; add it"),
        ("x-local: {command: [a], shell: b}", "x-local.shell is not honoured by twelfth; remove it"),
        ("x-any: ${A:?why}", "x-any requires the variable A: why; set it in the environment or in .env"),
    ],
)
def test_key_is_refused_by_its_full_name(keys: str, expected: str) -> None:
    """What is not honoured or not valid is refused in one line that says where and what to write."""
    with pytest.raises(MisuseError) as refusal:
        service(keys)

    assert f"docker-compose.yml: services.a.{expected}" == str(refusal.value)
