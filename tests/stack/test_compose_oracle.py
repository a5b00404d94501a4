"""The reader held against the real Docker Compose (`docker-compose config`), on our file and on generated ones.

`TWELFTH_EXAMPLES=1000` looks for new differences, at random; otherwise the examples are few and always the same.
"""

from __future__ import annotations

import json
import os
import posixpath
import re
import string
import struct
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stack import compose
from stack.errors import MisuseError
from tests.conftest import require_program

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stack.model import Build, Healthcheck, Mount, Service, Stack

ORACLE = Path(sys.executable).parent / "docker-compose"
ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = int(os.environ.get("TWELFTH_EXAMPLES", "0"))
NANOSECONDS = {"h": 3600 * 10**9, "m": 60 * 10**9, "s": 10**9, "ms": 10**6, "µs": 10**3, "ns": 1}
NAMES = ("A", "B", "C", "D_1", "_e")
VALUES = st.sampled_from(["", "x", "0", "two words", "$A", "${B}", "a:b", "'q'", "ü", "-", "}"])
ENVIRONMENTS = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=4)


@pytest.fixture(scope="module", autouse=True)
def _oracle() -> None:
    """Skip where Compose is not installed, fail where it has to be."""
    require_program(ORACLE)


def examples(few: int) -> settings:
    """Return the settings of a generated test."""
    return settings(
        max_examples=EXAMPLES or few,
        derandomize=not EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
    )


def theirs(directory: Path, text: str, environment: Mapping[str, str], dotenv: str = "") -> dict[str, Any] | None:
    """Return what Compose makes of a file, None where it refuses."""
    (directory / "docker-compose.yml").write_bytes(text.encode())
    (directory / ".env").write_bytes(dotenv.encode())
    command = [str(ORACLE), "config", "--format", "json"]
    ran = subprocess.run(command, cwd=directory, env=dict(environment), capture_output=True, check=False)
    return compose_view(json.loads(ran.stdout.decode().replace("$$", "$"))) if ran.stdout else None


def ours(directory: Path, text: str, environment: Mapping[str, str], dotenv: str = "") -> dict[str, Any] | None:
    """Return what twelfth makes of a file, None where it refuses."""
    try:
        return stack_view(compose.read(text, compose.variables(dotenv, environment), directory))
    except MisuseError as error:
        return {"several lines": str(error)} if "\n" in str(error) else None


def compose_view(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return Compose's JSON in the form that both are compared in."""
    files = {name: declared["file"] for name, declared in config.get("configs", {}).items()}
    return {
        "project": config["name"],
        "networks": {name: bool(network.get("internal")) for name, network in config.get("networks", {}).items()},
        "volumes": set(config.get("volumes", {})),
        "services": {name: compose_service(service, files) for name, service in config["services"].items()},
    }


def compose_service(service: Mapping[str, Any], files: Mapping[str, str]) -> dict[str, Any]:
    """Return one service of Compose's JSON in the form that both are compared in."""
    build = service.get("build")
    deploy = service.get("deploy", {})
    limits = deploy.get("resources", {}).get("limits", {})
    check = service.get("healthcheck")
    return {
        "image": service["image"],
        "build": build and (build["context"], build.get("args", {})),
        "command": service["command"],
        "environment": {name: value for name, value in service.get("environment", {}).items() if value is not None},
        "networks": set(service["networks"]),
        "mounts": set(compose_mounts(service, files)),
        "ports": {
            (port["target"], int(port["published"]), port.get("host_ip", "")) for port in service.get("ports", [])
        },
        "depends_on": set(service.get("depends_on", {})),
        "replicas": deploy.get("replicas", 1),
        "user": service.get("user"),
        "init": service.get("init", False),
        "read_only": service.get("read_only", False),
        "cap_drop": service.get("cap_drop", []),
        "security_opt": service.get("security_opt", []),
        "cpus": single(limits.get("cpus", 0)),
        "memory": int(limits.get("memory", 0)),
        "pids": limits.get("pids", 0),
        "healthcheck": check and compose_healthcheck(check),
        "restart": service.get("restart", "no"),
        "stop_grace": seconds(service.get("stop_grace_period", "10s")),
    }


def compose_mounts(service: Mapping[str, Any], files: Mapping[str, str]) -> list[tuple[str, str, str, bool]]:
    """Return volumes, configs and tmpfs alike."""
    volumes = [
        (volume["type"], volume["target"], volume.get("source", ""), volume.get("read_only", False))
        for volume in service.get("volumes", [])
    ]
    configs = [
        ("config", posixpath.join("/", config.get("target", config["source"])), files[config["source"]], True)
        for config in service.get("configs", [])
    ]
    return volumes + configs + [("tmpfs", posixpath.normpath(target), "", False) for target in service.get("tmpfs", [])]


def compose_healthcheck(check: Mapping[str, Any]) -> dict[str, Any]:
    """Return a healthcheck without what is not set."""
    times = {key: seconds(check[key]) for key in ("interval", "timeout", "start_period") if key in check}
    return {"test": check["test"], "retries": check.get("retries")} | times


def seconds(duration: str) -> float:
    """Return the seconds of a duration as Go prints it."""
    parts = re.findall(r"([0-9.]+)(h|ms|m|µs|ns|s)", duration)
    return sum(round(float(amount) * NANOSECONDS[unit]) for amount, unit in parts) / 10**9


def single(number: float) -> float:
    """Return a number as a float of 32 bits, which is what Compose keeps."""
    return float(struct.unpack("f", struct.pack("f", number))[0])


def stack_view(stack: Stack) -> dict[str, Any]:
    """Return a stack in the form that both are compared in."""
    return {
        "project": stack.project,
        "networks": {network.name: network.internal for network in stack.networks},
        "volumes": {volume.name for volume in stack.volumes},
        "services": {service.name: stack_service(service) for service in stack.services},
    }


def stack_service(service: Service) -> dict[str, Any]:
    """Return one service in the form that both are compared in."""
    return {
        "image": service.image,
        "build": service.build and stack_build(service.build),
        "command": None if service.command is None else list(service.command),
        "environment": dict(service.environment),
        "networks": set(service.networks),
        "mounts": {stack_mount(mount) for mount in service.mounts},
        "ports": {(port.target, port.published, port.host) for port in service.ports},
        "depends_on": set(service.depends_on),
        "replicas": service.replicas,
        "user": service.user,
        "init": service.init,
        "read_only": service.read_only,
        "cap_drop": list(service.cap_drop),
        "security_opt": list(service.security_opt),
        "cpus": single(service.limits.cpus or 0),
        "memory": service.limits.memory or 0,
        "pids": service.limits.pids or 0,
        "healthcheck": service.healthcheck and stack_healthcheck(service.healthcheck),
        "restart": service.restart,
        "stop_grace": service.stop_grace,
    }


def stack_build(build: Build) -> tuple[str, dict[str, str]]:
    """Return a build in the form that both are compared in."""
    return str(build.context), dict(build.args)


def stack_mount(mount: Mount) -> tuple[str, str, str, bool]:
    """Return a mount in the form that both are compared in."""
    return mount.kind, mount.target, mount.source, mount.read_only


def stack_healthcheck(check: Healthcheck) -> dict[str, Any]:
    """Return a healthcheck in the form that both are compared in."""
    times = {"interval": check.interval, "timeout": check.timeout, "start_period": check.start_period}
    given_times = {key: value for key, value in times.items() if value is not None}
    return {"test": list(check.test), "retries": check.retries} | given_times


def environment_file(values: list[str]) -> str:
    """Return a file that has each raw YAML value as a variable of one service."""
    lines = [f"      V{index}: {value}" for index, value in enumerate(values)]
    return "services:\n  a:\n    image: x\n    environment:\n" + "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"COMPOSE_PROJECT_NAME": "other"},
        {"COMPOSE_PROJECT_NAME": "", "PORT": "", "HOST_REDIS": ""},
        {"COMPOSE_PROJECT_NAME": "Not-Valid"},
        {"PORT": "9000", "RELEASE": "0123456789ab", "REDIS_URL": "rediss://:p$w@host/0"},
        {"PORT": "no"},
        {"PYTHON_IMAGE": "mine", "REDIS_IMAGE": "r@sha256:1", "WEB_IMAGE": "$w", "REDIS_URL": ""},
    ],
    ids=str,
)
def test_our_own_file_is_read_as_compose_reads_it(tmp_path: Path, environment: dict[str, str]) -> None:
    """The file of this project means the same to both, whatever the operator sets."""
    text = (ROOT / "docker-compose.yml").read_text("utf-8")

    assert theirs(tmp_path, text, environment) == ours(tmp_path, text, environment)


def expressions() -> st.SearchStrategy[str]:
    """Return valid expressions, nested ones too."""
    names = st.sampled_from([*NAMES, "UNSET"])
    operators = st.sampled_from([":-", "-", ":+", "+"])
    literals = st.text("ab -+:?.,/'\"#{ü", max_size=4).filter(lambda text: "${" not in text and "{" not in text)
    plain = st.one_of(literals, st.just("$$"), names.map("${}".format), names.map("${{{}}}".format))
    return st.recursive(
        st.one_of(plain, names.map(lambda name: f"${name}.")),
        lambda inner: st.one_of(
            st.builds("${{{}{}{}}}".format, names, operators, inner),
            st.builds("{}{}".format, inner, inner),
        ),
        max_leaves=5,
    )


@examples(25)
@given(texts=st.lists(expressions(), min_size=20, max_size=30), environment=ENVIRONMENTS)
def test_valid_expressions_are_expanded_as_in_compose(
    tmp_path: Path, texts: list[str], environment: dict[str, str]
) -> None:
    """Every form of an expression, nested too, has the value that Compose gives it."""
    text = environment_file([json.dumps(value) for value in texts])

    assert theirs(tmp_path, text, environment) == ours(tmp_path, text, environment)


@examples(60)
@given(text=st.text("${}AB:-+?x \n", min_size=1, max_size=12).map(lambda soup: "$" + soup), environment=ENVIRONMENTS)
def test_broken_expressions_are_refused_as_in_compose(tmp_path: Path, text: str, environment: dict[str, str]) -> None:
    """Any soup of signs is refused by both or means the same to both."""
    text = environment_file([json.dumps(text)])

    assert theirs(tmp_path, text, environment) == ours(tmp_path, text, environment)


UNCLEAR = re.compile(r"[0-9]{4}-[0-9]|[-+]?\.(inf|nan)|\.[0-9]+_", re.IGNORECASE)
WORDS = ["yes", "No", "on", "Off", "y", "true", "TRUE", "tRue", "~", "null", "NULL", "nULL", "=", "22:22", "1_000"]
WORDS += ["1:30:00", "0o17", "010", "08", "0x1F", "0b101", "1e3", "+1.5e-7", "-.5", "1.", "0.0", "-0", "+", "12e03"]


def plain_scalars() -> st.SearchStrategy[str]:
    """Return plain scalars that look like numbers, and words that some YAML takes for something else."""
    numbers = st.from_regex(r"[0-9+.-][0-9_+.eExXobBaf:-]{0,8}", fullmatch=True)
    sane = numbers.filter(lambda text: not UNCLEAR.match(text) and not text.endswith(":") and text not in ("-", "---"))
    floats = st.floats(allow_nan=False, allow_infinity=False).map(repr)
    return st.one_of(st.sampled_from(WORDS), sane, floats, st.integers(-(2**66), 2**66).map(str))


@examples(25)
@given(values=st.lists(plain_scalars(), min_size=30, max_size=40))
def test_plain_scalars_are_what_they_are_to_compose(tmp_path: Path, values: list[str]) -> None:
    """A number, a boolean or a word has the text that Compose gives it."""
    text = environment_file(values)

    assert theirs(tmp_path, text, {}) == ours(tmp_path, text, {})


@examples(25)
@given(
    lines=st.lists(
        st.one_of(
            st.text("AB= \t'\"\\$#n0{}:-\nx", max_size=12),
            st.builds(
                "{}{}{}{}".format,
                st.sampled_from(["", "export ", " ", "#"]),
                st.sampled_from(NAMES),
                st.sampled_from(["=", " = ", ": ", "=\t"]),
                st.one_of(expressions(), expressions().map('"{}"'.format), expressions().map("'{}' # why".format)),
            ),
        ),
        max_size=6,
    ),
    environment=ENVIRONMENTS,
    end=st.sampled_from(["", "\n", "\r\n"]),
)
def test_dotenv_is_read_as_compose_reads_it(
    tmp_path: Path, lines: list[str], environment: dict[str, str], end: str
) -> None:
    """Quotes, escapes, comments, several lines and expressions in `.env` mean the same to both."""
    dotenv = (end or "\n").join(lines) + end
    text = environment_file([""]) + "".join(f"      {name}:\n" for name in NAMES)

    assert theirs(tmp_path, text, environment, dotenv) == ours(tmp_path, text, environment, dotenv)


def mostly(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return a key's value as it is, or as the default of an unset variable."""
    return st.one_of(strategy, strategy.map(lambda value: f"${{UNSET:-{json.dumps(value)}}}".replace('"', "")))


WORD = st.text(string.ascii_letters + string.digits + "_./=-", min_size=1, max_size=8)
PATHS = st.text(string.ascii_lowercase + "./", min_size=1, max_size=8).map("/t/{}".format)
COMMANDS = st.one_of(st.lists(st.text(string.printable.replace("$", ""), max_size=6), max_size=4), st.none())
LINES = st.lists(
    st.one_of(WORD, WORD.map("'{} b'".format), WORD.map('"{}\\t"'.format), WORD.map("\\n{}".format)), max_size=4
)
AMOUNTS = st.one_of(st.integers(1, 3000).map(str), st.decimals("0.1", 90, places=2).map(str))
DURATIONS = st.lists(st.builds("{}{}".format, AMOUNTS, st.sampled_from(["ms", "s", "m", "h", "us", "ns"])), min_size=1)
SIZES = st.builds("{}{}".format, AMOUNTS, st.sampled_from(["", "b", "k", "K", "kb", "M", "mib", "g", " GB", "tib"]))
PORTS = st.integers(1, 65535)
LOW_PORTS, HIGH_PORTS = st.integers(1, 9999), st.integers(10000, 65535)
PAIRS = st.dictionaries(
    WORD.filter(lambda name: "=" not in name and not name.startswith("x-")),
    st.one_of(WORD, st.booleans(), st.integers()),
    max_size=3,
)


def ports() -> st.SearchStrategy[list[Any]]:
    """Return published ports in both syntaxes."""
    hosts = st.sampled_from(["", "127.0.0.1:", "[::1]:", ":"])
    short = st.builds("{}{}:{}{}".format, hosts, LOW_PORTS, PORTS, st.sampled_from(["", "/tcp", "/TCP"]))
    long = st.fixed_dictionaries(
        {"target": mostly(PORTS), "published": st.one_of(HIGH_PORTS, HIGH_PORTS.map(str))},
        optional={
            "host_ip": st.sampled_from(["127.0.0.1", "::1"]),
            "protocol": st.just("tcp"),
            "mode": st.just("ingress"),
        },
    )
    return st.builds(list.__add__, st.lists(short, max_size=1), st.lists(long, max_size=1))


def mounts(target: str) -> st.SearchStrategy[dict[str, Any]]:
    """Return volumes, configs and tmpfs, at targets of their own."""
    mode = st.sampled_from(["", ":ro", ":rw"])
    long = {"type": st.just("volume"), "source": st.just("data"), "target": st.just("/long/../long")}
    volumes = [
        st.builds("data:{}{}".format, PATHS, mode),
        st.fixed_dictionaries(long, optional={"read_only": mostly(st.booleans())}),
    ]
    configs = [st.just("conf"), st.just({"source": "conf", "target": target})]
    return st.fixed_dictionaries(
        {},
        optional={
            "volumes": st.one_of(volumes).map(lambda one: [one]),
            "configs": st.lists(st.one_of(configs), max_size=2, unique_by=str),
            "tmpfs": st.sampled_from(["/tmp", ["/tmp", "/run/"], []]),
        },
    )


def services() -> st.SearchStrategy[dict[str, Any]]:
    """Return a service with any of the honoured keys."""
    check = {
        "interval": DURATIONS.map("".join),
        "timeout": DURATIONS.map("".join),
        "retries": mostly(st.integers(0, 9)),
    }
    limits = {
        "cpus": st.one_of(AMOUNTS, st.floats(0, 64, width=16)),
        "memory": SIZES,
        "pids": mostly(st.integers(1, 999)),
    }
    test = st.one_of(WORD, st.lists(WORD, min_size=1, max_size=3).map(lambda words: ["CMD", *words]))
    deploy = {
        "replicas": mostly(st.integers(0, 9)),
        "resources": st.fixed_dictionaries({"limits": st.fixed_dictionaries({}, optional=limits)}),
    }
    build = {"context": st.sampled_from([".", "./a/../b", "/abs"]), "args": st.one_of(PAIRS, st.just(["A=1", "B"]))}
    keys = {
        "build": st.one_of(st.sampled_from([".", "../up"]), st.fixed_dictionaries({}, optional=build)),
        "command": st.one_of(COMMANDS, LINES.map(" ".join)),
        "environment": st.one_of(PAIRS, st.just(["A=b=c", "B=", "C"]), st.just({"A": None, "B": None})),
        "networks": st.sampled_from(
            [[], ["front"], ["front", "back"], {"back": None}, {"front": {}, "default": None}, ["default"]]
        ),
        "ports": ports(),
        "user": WORD,
        "init": mostly(st.booleans()),
        "read_only": mostly(st.booleans()),
        "cap_drop": st.lists(st.sampled_from(["ALL", "KILL", "CHOWN"]), max_size=2, unique=True),
        "security_opt": st.lists(st.just("no-new-privileges:true"), max_size=1),
        "healthcheck": st.fixed_dictionaries({"test": test}, optional=check),
        "restart": st.sampled_from(["no", "always", "unless-stopped", "on-failure", "on-failure:3"]),
        "stop_grace_period": DURATIONS.map("".join),
        "deploy": st.one_of(st.fixed_dictionaries({}, optional=deploy), st.none()),
        "x-any": WORD,
    }
    whole = st.fixed_dictionaries({"image": WORD}, optional=keys)
    return st.builds(lambda service, mounted: service | mounted, whole, mounts("/etc/conf"))


def files() -> st.SearchStrategy[str]:
    """Return whole files within what is honoured, in several styles of YAML."""
    top = {
        "services": st.fixed_dictionaries({"web": services(), "work": services(), "redis": services()}),
        "networks": st.sampled_from(
            [{"front": {}, "back": {"internal": True}}, {"front": None, "back": {"internal": "${A:+false}${A:-true}"}}]
        ),
        "volumes": st.sampled_from([{"data": None}, {"data": {}}]),
        "configs": st.sampled_from([{"conf": {"file": "./web/conf"}}, {"conf": {"file": "/etc/conf"}}]),
    }
    depends = st.sampled_from(
        [{}, {"web": ["work"]}, {"web": ["redis", "work"], "redis": {"work": {"condition": "service_started"}}}]
    )
    names = st.sampled_from([{}, {"name": "${A:-one}"}, {"name": "My Name"}, {"x-top": {"any": [1, "$A"]}}])
    styles = st.tuples(st.sampled_from([None, "'", '"']), st.sampled_from([None, True, False]))
    return st.builds(written, st.fixed_dictionaries(top), depends, names, styles)


def written(top: dict[str, Any], depends: dict[str, Any], more: dict[str, Any], style: tuple[Any, Any]) -> str:
    """Return a file's text; a reference that is repeated becomes an anchor and its alias."""
    for name, dependencies in depends.items():
        top["services"][name]["depends_on"] = dependencies
    scalars, flow = style
    return yaml.safe_dump(more | top, default_style=scalars, default_flow_style=flow, allow_unicode=True)


@examples(60)
@given(text=files(), environment=ENVIRONMENTS)
def test_files_of_honoured_keys_are_read_as_compose_reads_them(
    tmp_path: Path, text: str, environment: dict[str, str]
) -> None:
    """A file with any of the honoured keys means the same to both."""
    expected = theirs(tmp_path, text, environment)

    assert expected == ours(tmp_path, text, environment)
