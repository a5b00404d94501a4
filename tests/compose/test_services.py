"""Each key of Compose becomes a field of the model, and unsupported keys are refused together."""

from __future__ import annotations

from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Any

import pytest

from tests.compose.conftest import HOME, Project
from tests.release_commands import release_command
from twelfth.compose import cli, services
from twelfth.errors import MisuseError
from twelfth.model.hook import Hook
from twelfth.model.service import Build, BuildSecret, Healthcheck, Limits, Local, Logging, Mount, Port, Reload, Service
from twelfth.model.stack import Network, Stack, Volume, with_release

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parents[2]
HERE = Path("/project")
TOP = """
networks: {n: , inner: {internal: true}}
volumes: {data: }
configs: {conf: {file: ./web/conf}, text: {content: of $$it}, outside: {external: true}}
secrets: {hidden: {environment: GIVEN}, kept: {file: ./kept}}
"""
PING = """\
import socket
with socket.create_connection(("127.0.0.1", <port>), 2) as server:
    server.sendall(b"PING\\r\\n")
    raise SystemExit(server.recv(8) in (b"", b"-LOADING"))
"""
HONOURED = [
    ("build: .", "build", Build(HERE, tag="a")),
    (
        "build: {context: ./sub/../app, args: {B: 1, A: x}}",
        "build",
        Build(HERE / "app", (("A", "x"), ("B", "1")), tag="a"),
    ),
    ("build: {args: [A=1, GIVEN, UNSET]}", "build", Build(HERE, (("A", "1"), ("GIVEN", "yes")), tag="a")),
    (
        "build: {dockerfile: b/D, target: t, cache_from: [c], provenance: true}",
        "build",
        Build(HERE, dockerfile="b/D", target="t", tag="a", options=(("cache_from", '["c"]'),)),
    ),
    (
        "build: {context: ., secrets: [kept, {source: hidden, target: npm}]}",
        "build",
        Build(HERE, tag="a", secrets=(BuildSecret("kept", "/project/kept"), BuildSecret("npm", content="yes"))),
    ),
    (
        "build: {context: ., ssh: [default, gh=./key]}",
        "build",
        Build(HERE, tag="a", ssh=("default", "gh=/project/key")),
    ),
    (
        "build: {context: ., additional_contexts: {x: ./lib, i: 'docker-image://i:1', s: 'service:s0'}}",
        "build",
        Build(
            HERE,
            tag="a",
            additional_contexts=(("i", "docker-image://i:1"), ("s", "service:s0"), ("x", "/project/lib")),
        ),
    ),
    ("build: {dockerfile_inline: FROM a}", "build", Build(HERE, inline="FROM a", tag="a")),
    ("command: [a, '', 'b c']", "command", ("a", "", "b c")),
    ("command: a 'b c'", "command", ("a", "b c")),
    ("command:", "command", None),
    (
        "environment: {B: 1.50, A: true, GIVEN: , UNSET: }",
        "environment",
        (("A", "true"), ("B", "1.5"), ("GIVEN", "yes")),
    ),
    ("environment: [B=1=2, A=, GIVEN, UNSET]", "environment", (("A", ""), ("B", "1=2"), ("GIVEN", "yes"))),
    ("environment: {A: $GIVEN$$GIVEN, B: '$$$$'}", "environment", (("A", "yes$GIVEN"), ("B", "$$"))),
    (
        "environment: {A: =, B: '<<', C: '1:30', D: 0x1F, E: '2001-01-01', F: '1e3', G: 'off', H: '~', I: '010'}",
        "environment",
        (
            *(("A", "="), ("B", "<<"), ("C", "1:30"), ("D", "31"), ("E", "2001-01-01"), ("F", "1e3"), ("G", "off")),
            *(("H", "~"), ("I", "010")),
        ),
    ),
    (r'environment: {A: "a\nb: é\u0085\U0001F600"}', "environment", (("A", "a\nb: é\u0085\U0001f600"),)),
    ("init: true", "networks", ("default",)),
    ("networks: [n, inner]", "networks", ("inner", "n")),
    ("volumes: ['data:/a/']", "mounts", (Mount("volume", "/a", "data"),)),
    ("volumes: ['data:/a:ro']", "mounts", (Mount("volume", "/a", "data", read_only=True),)),
    ("volumes: [{type: tmpfs, target: /a}]", "mounts", (Mount("tmpfs", "/a"),)),
    ("volumes: [/b]", "mounts", (Mount("volume", "/b"),)),
    ("volumes: ['./a:/b']", "mounts", (Mount("bind", "/b", "/project/a"),)),
    (
        "volumes: ['./a:/b:ro,z']",
        "mounts",
        (Mount("bind", "/b", "/project/a", read_only=True, options=(("selinux", '"z"'),)),),
    ),
    (
        "volumes: [{type: tmpfs, target: /a, tmpfs: {size: 1k}}]",
        "mounts",
        (Mount("tmpfs", "/a", options=(("size", '"1024"'),)),),
    ),
    ("tmpfs: '/run:size=1m'", "mounts", (Mount("tmpfs", "/run", options=(("options", '"size=1m"'),)),)),
    ("configs: [text]", "mounts", (Mount("config", "/text", "", read_only=True, content="of $it"),)),
    (
        "secrets: [{source: hidden, mode: 0400}]",
        "mounts",
        (Mount("config", "/run/secrets/hidden", read_only=True, content="yes", options=(("mode", '"0400"'),)),),
    ),
    ("secrets: [{source: kept, target: /k}]", "mounts", (Mount("config", "/k", "/project/kept", read_only=True),)),
    ("configs: [conf]", "mounts", (Mount("config", "/conf", "/project/web/conf", read_only=True),)),
    ("configs: [{source: conf, target: /c}]", "mounts", (Mount("config", "/c", "/project/web/conf", read_only=True),)),
    ("tmpfs: [/run/, /tmp]", "mounts", (Mount("tmpfs", "/run"), Mount("tmpfs", "/tmp"))),
    ("ports: ['80:8000', '[::1]:81:8000/tcp']", "ports", (Port(8000, 80), Port(8000, 81, "::1"))),
    ("ports: ['80-81:8000-8001']", "ports", (Port(8000, 80), Port(8001, 81))),
    ("ports: [{target: 8000, published: '80', host_ip: 127.0.0.1}]", "ports", (Port(8000, 80, "127.0.0.1"),)),
    ("ports: ['8000', '53:53/udp']", "ports", (Port(8000), Port(53, 53, protocol="udp"))),
    ("ports: [{target: 80, published: 80-81, mode: host}]", "ports", (Port(80, 80, through=81),)),
    ("depends_on: [b]", "depends_on", ("b",)),
    ("depends_on: {b: {condition: service_healthy}}", "conditions", (("b", "service_healthy"),)),
    ("depends_on: {b: {condition: service_started, restart: true}}", "follows", ("b",)),
    ("depends_on: {absent: {condition: service_started, required: false}}", "depends_on", ()),
    ("network_mode: service:b", "follows", ("b",)),
    ("scale: 2", "replicas", 2),
    ("deploy: {mode: global, labels: {a: b}, update_config: {parallelism: 2}}", "replicas", 1),
    ("deploy: {update_config: {monitor: 200ms, delay: 1s, order: start-first}}", "monitor", 0.2),
    ("deploy: {update_config: {order: start-first}}", "monitor", 5.0),
    ("deploy: {restart_policy: {condition: any}}", "restart", "always"),
    ("deploy: {restart_policy: {condition: on-failure, max_attempts: 2}}", "restart", "on-failure:2"),
    ("deploy: {resources: {reservations: {cpus: '1', memory: 1k}}}", "options", (("mem_reservation", '"1024"'),)),
    ("mem_limit: 1k\ncpus: 0.5\npids_limit: 3", "limits", Limits(0.5, 1024, 3)),
    ("networks: {n: {aliases: [x]}}", "endpoints", (("n", '{"aliases": ["x"]}'),)),
    ("container_name: one", "container_name", "one"),
    ("platform: linux/amd64", "platform", "linux/amd64"),
    ("pull_policy: always", "pull_policy", "always"),
    ("privileged: true", "options", (("privileged", "true"),)),
    ("entrypoint: a b", "options", (("entrypoint", '["a", "b"]'),)),
    ("labels: [a=b]", "options", (("labels", '{"a": "b"}'),)),
    ("develop: {watch: [{path: ., action: rebuild}]}", "options", ()),
    ("healthcheck: {disable: true}", "healthcheck", Healthcheck(("NONE",))),
    ("depends_on: {b: {condition: service_started}}", "depends_on", ("b",)),
    ("deploy: {replicas: 3}", "replicas", 3),
    ("deploy: {replicas: '${UNSET:-2}'}", "replicas", 2),
    ("deploy: {resources: {limits: {cpus: 0.5, memory: 1.5gb, pids: 9}}}", "limits", Limits(0.5, 1610612736, 9)),
    ("deploy: {resources: {limits: {cpus: 0.00001}}}", "limits", Limits(0.00001)),
    ("user: '1000'", "user", "1000"),
    ("post_start: [{command: a 'b c'}]", "post_start", (Hook(("a", "b c")),)),
    (
        "pre_stop: [{command: [a], user: root, privileged: true, working_dir: /w, environment: [B=2]}]",
        "pre_stop",
        (Hook(("a",), "root", privileged=True, working_dir="/w", environment=(("B", "2"),)),),
    ),
    ("read_only: ${UNSET:-true}", "read_only", True),
    ("cap_drop: [ALL]", "cap_drop", ("ALL",)),
    ("security_opt: ['no-new-privileges:true']", "security_opt", ("no-new-privileges:true",)),
    ("healthcheck: {test: a b}", "healthcheck", Healthcheck(("CMD-SHELL", "a b"))),
    (
        "healthcheck: {test: [CMD, a], interval: 1m30s, timeout: 500ms, start_period: 1.5h, retries: 3}",
        "healthcheck",
        Healthcheck(("CMD", "a"), 90.0, 0.5, 5400.0, 3),
    ),
    ("restart: 'no'", "restart", "no"),
    ("restart: on-failure:3", "restart", "on-failure:3"),
    ("stop_grace_period: 1w2d3us", "stop_grace", 777600.000003),
    ("x-local: {command: [a, <port>]}", "local", Local(("a", "<port>"))),
    (
        "x-local: {command: [a], environment: {A: 1, B: true, C: $GIVEN}, port: '80'}",
        "local",
        Local(("a",), (("A", "1"), ("B", "true"), ("C", "yes")), 80),
    ),
    ("x-local: {command: [a], healthcheck: [b]}", "local", Local(("a",), healthcheck=("b",))),
    ("x-reload: {signal: SIGHUP}", "reload", Reload("SIGHUP")),
    ("x-reload: {signal: SIGUSR2, check: [a, -c]}", "reload", Reload("SIGUSR2", ("a", "-c"))),
    ("x-any: {of: [thing]}", "restart", "no"),
]
REFUSED = [
    ("post_start: [{command: []}]", "post_start[0].command is missing. Try: write [program, argument, ...]"),
    ("volumes_from: [b]", "volumes_from is unsupported. Try: declare the same volumes"),
    (
        "build: https://github.com/x/y.git",
        "build.context is https://github.com/x/y.git, which is unsupported. Try: write a path",
    ),
    (
        "build: {additional_contexts: {x: 'oci-layout://./x'}}",
        (
            "build.additional_contexts.x is oci-layout://./x, which is unsupported. "
            "Try: write a path, docker-image://IMAGE or a URL"
        ),
    ),
    (
        "environment: {x-a: 1}",
        (
            "environment.#extensions has names that start with x-, which Compose does not allow for variables. "
            "Try: rename them"
        ),
    ),
    ("volumes: ['data:b']", "volumes[0].target is b. Try: write an absolute path"),
    (
        "configs: [outside]",
        "configs[0] is external, which only Swarm supports. Try: declare file, content or environment instead",
    ),
    (
        "pull_policy: daily",
        "pull_policy is daily, which is unsupported. Try: write missing, if_not_present, always, never or build",
    ),
    (
        "healthcheck: {interval: 1s}",
        "healthcheck.test has no command. Try: write [CMD, program, ...], or remove the healthcheck",
    ),
    ("stop_grace_period: -5s", "stop_grace_period is -5s. Try: write a duration such as 90s or 1m30s"),
    ("restart: never", 'restart is never. Try: write "no", always, unless-stopped or on-failure'),
    ("x-local: {}", "x-local.command is missing. Try: add it"),
    ("x-local: [a]", "x-local.command is missing. Try: add it"),
    ("x-local: {command: [a], shell: b}", "x-local.shell is unsupported. Try: remove it"),
    (
        "x-local: {command: a}",
        "x-local.command must be a list of texts. Try: write [program, argument, ...], and quote numbers",
    ),
    (
        "x-local: {command: [a], environment: {A: }}",
        "x-local.environment.A must be text. Try: quote it, or write ${A} for the operator's own",
    ),
    ("x-local: {command: [a], environment: [A=1]}", "x-local.environment must be a mapping. Try: write NAME: value"),
    ("x-local: {command: [a], port: many}", "x-local.port is many. Try: write a port, such as 8000"),
    ("x-reload: SIGHUP", "x-reload.signal is missing. Try: add it, such as SIGHUP"),
    ("x-reload: {check: [a]}", "x-reload.signal is missing. Try: add it, such as SIGHUP"),
    ("x-reload: {signal: 1}", "x-reload.signal is 1. Try: write a signal, such as SIGHUP"),
    ("x-reload: {signal: SIGHUP, shell: b}", "x-reload.shell is unsupported. Try: remove it"),
    (
        "x-reload: {signal: SIGHUP, check: a -c}",
        "x-reload.check must be a list of texts. Try: write [program, argument, ...], and quote numbers",
    ),
    ("x-release: a b", "x-release must be a list of texts. Try: write [program, argument, ...], and quote numbers"),
]


def of_each(cases: list[str]) -> str:
    """Return a file with a service for each of the keys, `s0` and so on, and a service `b`."""
    of_keys = [f"  s{index}:\n    image: a\n" + indent(keys, "    ") for index, keys in enumerate(cases)]
    return "services:\n  b: {image: b}\n  absent: {image: c, profiles: [p]}\n" + "\n".join(of_keys) + "\n" + TOP


@pytest.fixture(scope="module")
def honoured(programs: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """Return a stack with a service for each supported key, read once."""
    project = Project(tmp_path_factory.mktemp("honoured"), programs)
    return project.read(of_each([keys for keys, _, _ in HONOURED]), GIVEN="yes")


LIMITS = "max-replicas: {SERVICE: NUMBER}, shared: [VOLUME], proxy: {service: SERVICE, port: PORT}"


@pytest.mark.parametrize("index", range(len(HONOURED)), ids=[keys for keys, _, _ in HONOURED])
def test_key_is_read(honoured: Stack, index: int) -> None:
    """Each supported key, in each of its notations, becomes the model's value."""
    _, field, expected = HONOURED[index]
    found = getattr(honoured.service(f"s{index}"), field)

    assert repr(expected).replace("/project", str(honoured.directory)) == repr(found)


def test_secret_that_only_a_build_uses_is_read(project: Project) -> None:
    """Also one whose value is a variable's."""
    [app] = project.read(
        "services: {app: {build: {context: ., secrets: [{source: token, target: id}]}}}\n"
        "secrets: {token: {environment: GIVEN}}\n",
        GIVEN="yes",
    ).services

    assert app.build
    assert (BuildSecret("id", content="yes"),) == app.build.secrets


def test_nodes_of_a_swarm_are_read(project: Project) -> None:
    """By name; an invalid value, which Compose does not check, is refused in one line."""
    app = "services:\n  a: {image: a}\n"
    assert (("one", "tcp://a:2375"),) == project.read(f"{app}x-swarm: {{nodes: {{one: 'tcp://a:2375'}}}}\n").nodes

    why = "compose.yaml: x-swarm must be a mapping. Try: write nodes: {NAME: tcp://HOST:2375}"
    assert why == project.refused(f"{app}x-swarm: one\n")


def test_all_that_is_not_honoured_is_refused_at_once_by_its_full_name(project: Project) -> None:
    """One error has a line for each key of each service, with the file, the key and what to write."""
    text = of_each([keys for keys, _ in REFUSED])
    expected = {f"compose.yaml: services.s{index}.{why}" for index, (_, why) in enumerate(REFUSED)}

    assert expected == set(project.refused(text).splitlines())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "services: {}",
            "services has no enabled service. Try: declare one, or enable its profile in COMPOSE_PROFILES",
        ),
        (
            "services: {a: {image: x, profiles: [p]}}",
            "services has no enabled service. Try: declare one, or enable its profile in COMPOSE_PROFILES",
        ),
    ],
)
def test_what_the_top_level_declares_is_refused_by_its_full_name(project: Project, text: str, expected: str) -> None:
    """Networks, volumes and configs have only keys that the model supports."""
    assert f"compose.yaml: {expected}" == project.refused(text)


def test_what_is_said_to_the_tool_is_part_of_the_stack(project: Project) -> None:
    """Which service runs are made from, which is the ingress, and how many replicas there can be."""
    found = project.read(
        "x-twelfth: {runs-from: a, ingress: b, max-replicas: {a: 9}}\nservices: {a: {image: x}, b: {image: x}}"
    )

    assert ("a", "b", (("a", 9),)) == (found.runs_from, found.ingress, found.max_replicas)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("{runs-from: c}", ".runs-from is c, and there is no such service. Try: write one of a, b"),
        ("{ingress: [a]}", ".ingress is ['a'], and there is no such service. Try: write one of a, b"),
        ("{max-replicas: {a: many}}", ".max-replicas must be a mapping. Try: write SERVICE: NUMBER"),
        ("{max-replicas: {c: 9}}", ".max-replicas.c is not a service. Try: write one of a, b"),
        ("{runs_from: a}", ".runs_from is unsupported. Try: runs-from"),
        ("a", f" must be a mapping. Try: write runs-from: SERVICE, ingress: SERVICE, {LIMITS}"),
        ("{shared: [b]}", ".shared has b, which no service mounts. Try: write the key of a volume, or a path"),
        ("{shared: media}", ".shared must be a list of texts. Try: write [program, argument, ...], and quote numbers"),
    ],
)
def test_what_is_said_wrongly_to_the_tool_is_refused_by_name(project: Project, said: str, expected: str) -> None:
    """Compose does not check `x-` keys."""
    text = f"x-twelfth: {said}\nservices: {{a: {{image: x}}, b: {{image: x}}}}"

    assert f"compose.yaml: x-twelfth{expected}" == project.refused(text)


def test_services_stand_in_the_order_in_which_they_start(project: Project) -> None:
    """Dependencies first, else by name."""
    text = "services:\n  z: {image: x}\n  web: {image: x, depends_on: [app]}\n"
    text += "  app: {image: x, depends_on: [z]}\n  b: {image: x}\n"
    names = [service.name for service in project.read(text).services]

    assert ["b", "z", "app", "web"] == names


def test_service_whose_image_another_is_built_from_stands_before_it(project: Project) -> None:
    """Images are built in that order. It must be enabled, and two services cannot need each other."""
    text = "services:\n  z: {build: z}\n  a: {build: {context: a, additional_contexts: {base: 'service:z'}}}\n"
    [z, a] = project.read(text).services

    assert ("z", "a", ("z",)) == (z.name, a.name, a.build and a.build.services)
    assert "services.a.build.additional_contexts.base is service:z, which is not enabled" in project.refused(
        text.replace("{build: z}", "{build: z, profiles: [p]}")
    )
    assert project.refused(
        text.replace("{build: z}", "{build: {context: z, additional_contexts: {base: 'service:a'}}}")
    ) == (
        "a, z depend on one another through build.additional_contexts. "
        "Try: write docker-image://IMAGE instead of service:NAME"
    )


def test_only_what_a_service_uses_is_part_of_the_stack(project: Project) -> None:
    """Networks and volumes that no service uses are not created, as with Compose."""
    text = "services: {a: {image: x, networks: [n], volumes: ['data:/d']}}\n"
    text += "networks: {n: {internal: '${UNSET:-true}'}, m: }\nvolumes: {data: , other: }\n"
    found = project.read(text)

    assert ((Network("n", internal=True),), (Volume("data"),)) == (found.networks, found.volumes)


def test_image_that_another_service_builds_is_of_its_release(project: Project) -> None:
    """So both have one release after a rollback, too."""
    stack = project.read("services:\n  a: {build: ., image: 'app:1'}\n  b: {image: 'app:1'}\n  c: {image: 'app:2'}\n")
    found = [service.image for service in with_release(stack, "0123456789ab").services]

    assert ["app:0123456789ab", "app:0123456789ab", "app:2"] == found


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("", "shop-a"),
        ("image: app", "app"),
        ("image: 'app:${RELEASE:-compose}'", "app"),
        ("image: host:5000/of/app", "host:5000/of/app"),
        ("image: host:5000/of/app:tag", "host:5000/of/app"),
        ("image: app@sha256:" + 64 * "0", "app"),
    ],
)
def test_built_image_has_the_release_for_its_tag(project: Project, image: str, expected: str) -> None:
    """The repository is the file's or Compose's; only `with_release` sets the release."""
    stack = project.read(f"services:\n  a:\n    build: .\n    {image}\n  b: {{image: 'b:1'}}\n")
    found = {service.name: service.image for service in with_release(stack, "0123456789ab").services}

    assert expected == stack.services[0].image
    assert {"a": f"{expected}:0123456789ab", "b": "b:1"} == found


def test_file_of_this_project_is_the_stack_that_it_was(programs: tuple[str, ...]) -> None:
    """All values are those that twelfth's own reader returned, before Compose read the file."""
    hardened: dict[str, Any] = {"restart": "unless-stopped", "read_only": True, "cap_drop": ("ALL",)}
    hardened["security_opt"] = ("no-new-privileges:true",)
    hardened["logging"] = Logging("json-file", (("max-file", "3"), ("max-size", "10m")))
    redis = ("redis-server", "--dir", "/data", "--appendonly", "yes")
    valkey = ("valkey-server", "--bind", "127.0.0.1", "--port", "<port>", "--dir", "<data>", "--appendonly", "yes")
    synced, guarded = ("--appendfsync", "always", "--save", ""), ("--protected-mode", "no")
    haproxy = "/usr/local/etc/haproxy/haproxy.cfg"
    expected = Stack(
        "twelfth",
        ROOT,
        (
            Service(
                "redis",
                "redis:8.0-alpine",
                command=(*redis, *synced, *guarded, "--maxmemory", "384mb", "--maxmemory-policy", "noeviction"),
                networks=("back",),
                mounts=(Mount("volume", "/data", "redis-data"),),
                user="redis",
                limits=Limits(1.0, 536870912, 64),
                healthcheck=Healthcheck(("CMD", "redis-cli", "ping"), 5.0, 2.0, None, 3),
                stop_grace=30.0,
                constraints=("node.labels.twelfth.data == true",),
                local=Local((*valkey, *synced), healthcheck=("python", "-c", PING)),
                **hardened,
            ),
            Service(
                "worker",
                "twelfth",
                build=Build(ROOT, (("PYTHON_IMAGE", "python:3.13-slim"),), tag="twelfth:compose"),
                environment=(("HOST_REDIS", "redis"), ("PORT_REDIS", "6379")),
                networks=("back", "front"),
                mounts=(Mount("tmpfs", "/tmp"),),
                depends_on=("redis",),
                limits=Limits(1.0, 268435456, 128),
                healthcheck=Healthcheck(("CMD", "python", "-m", "service.health"), 5.0, 5.0, None, 3),
                local=Local(
                    ("python", "-m", "service", "--host", "127.0.0.1", "--port", "<port>"),
                    (("HOST_REDIS", "127.0.0.1"), ("PORT_REDIS", "<redis.port>")),
                    8000,
                    ("python", "-m", "service.health", "--port", "<port>"),
                ),
                pre_start=release_command(
                    ("python", "-m", "admin.migrate", "--wait", "60", "--allow-newer"), service="worker"
                ),
                **hardened,
            ),
            Service(
                "web",
                "haproxy:3.0-alpine",
                command=("haproxy", "-W", "-db", "-f", haproxy),
                networks=("front",),
                mounts=(Mount("config", haproxy, str(ROOT / "web/haproxy.cfg"), read_only=True),),
                ports=(Port(8000, 8000, "127.0.0.1"),),
                depends_on=("worker",),
                user="haproxy",
                limits=Limits(1.0, 134217728, 64),
                healthcheck=Healthcheck(
                    ("CMD", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8000/proxyz"), 5.0, 2.0, None, 3
                ),
                stop_grace=15.0,
                reload=Reload("SIGUSR2", ("haproxy", "-c", "-f", haproxy)),
                **hardened,
            ),
        ),
        (Network("back", internal=True), Network("front")),
        (Volume("redis-data"),),
        (ROOT / "docker-compose.yml",),
        max_replicas=(("worker", 100),),
    )

    assert expected == Project(ROOT, programs).read()


def test_most_workers_are_as_many_as_the_load_balancer_has_slots_for(programs: tuple[str, ...]) -> None:
    """More would be created, and get no requests."""
    most = dict(Project(ROOT, programs).read().max_replicas)["worker"]

    assert f"server-template worker 1-{most} " in (ROOT / "web" / "haproxy.cfg").read_text("utf-8")


def test_names_are_known_whatever_is_not_honoured(project: Project) -> None:
    """A run needs only these; invalid `x-` keys are still refused."""
    project.write(
        compose__yaml="x-twelfth: {door: a}\nservices:\n  web: {image: x, depends_on: [a], privileged: true}\n"
        "  a: {build: .}\n"
    )
    found = services.names(*_read(project))

    assert ("shop", "a", "a") == (found.project, found.run_service, found.ingress)
    assert ["a", "web"] == [each.name for each in found.services]
    project.write(compose__yaml="x-twelfth: {door: b}\nservices: {a: {image: x}}\n")
    with pytest.raises(MisuseError, match=r"^compose.yaml: x-twelfth.door is b, and there is no such service"):
        services.names(*_read(project))


def test_names_of_services_without_an_image_are_left_out(project: Project) -> None:
    """They have no containers; the others are read, with their shared networks and volumes."""
    project.write(
        compose__yaml="""
services:
  db: {provider: {type: model}}
  once: {image: x, depends_on: [db]}
  app:
    image: x
    scale: 3
    depends_on: {db: {condition: service_started}, once: {condition: service_completed_successfully}}
    networks: [back]
    volumes: ["data:/data"]
networks: {back: {name: shared, external: true}}
volumes: {data: {name: mine}}
"""
    )
    found = services.names(*_read(project))

    assert [("once", ()), ("app", ("once",))] == [(each.name, each.depends_on) for each in found.services]
    assert ("app", 3, {"once"}) == (found.run_service, found.services[1].replicas, {*found.completing})
    assert Network("back", known_as="shared", external=True, options=None) in found.networks
    assert (Volume("data", known_as="mine", options=None),) == found.volumes
    with pytest.raises(MisuseError, match=r"compose.yaml: services.db.provider is unsupported\. Try: remove it"):
        services.stack(*_read(project))


def _read(project: Project) -> tuple[Mapping[str, Any], tuple[Path, ...]]:
    found = cli.read(project.directory, HOME, project.warned.append, project.programs)
    return found.model, found.files
