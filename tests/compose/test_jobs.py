"""Jobs of a Compose file, under `jobs:` and under `x-jobs:`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.compose.conftest import HOME
from twelfth.errors import MisuseError
from twelfth.model.job import Job, Notify, Schedule
from twelfth.stack import load

if TYPE_CHECKING:
    from twelfth.model.stack import Stack

ROOT = Path(__file__).resolve().parents[2]
SERVICES = """
name: shop
x-twelfth: {runs-from: app}
services:
  app: {image: "app:1", build: ., environment: {A: "1"}}
  web: {image: "app:1"}
  db: {image: redis}
"""


def stack(directory: Path, text: str, **environment: str) -> Stack:
    """Return the stack of a Compose file."""
    (directory / "compose.yaml").write_text(SERVICES + text)
    return load.load_stack(directory, HOME | environment)


def job(directory: Path, text: str, key: str = "x-jobs") -> Job:
    """Return the only job of a Compose file."""
    [job] = stack(directory, f"{key}: {{job: {text}}}").jobs
    return job


@pytest.mark.parametrize("key", ["jobs", "x-jobs"])
def test_job_is_read_in_each_of_compose_s_notations(tmp_path: Path, key: str) -> None:
    """Compose makes one notation of them, also of those under `x-jobs`, which it does not check."""
    text = """
  nightly:
    image: "app:1"
    command: echo $$HOME "a b"
    environment: [A=2]
    mem_limit: 5m
    depends_on: [first, db]
    triggers: {schedule: ["5 3 * * *", {cron: "@daily", timezone: Europe/Berlin, missed_fires: skip}]}
  first: {image: busybox, command: [a], triggers: {manual: false}}
"""
    first, nightly = stack(tmp_path, f"{key}:{text}").jobs

    assert ("first", "", ("a",), False) == (first.name, first.service, first.command, first.is_manual)
    assert ("nightly", "app", ("echo", "$HOME", "a b")) == (nightly.name, nightly.service, nightly.command)
    assert {"command", "environment", "mem_limit"} == nightly.changes.keys
    assert (("A", "2"),) == nightly.changes.container.environment
    assert (("first",), (("db", "service_started"),)) == (nightly.after, nightly.conditions)
    assert (Schedule("5 3 * * *"), Schedule("@daily", "Europe/Berlin", missed_fires="skip")) == nightly.schedules


@pytest.mark.parametrize(
    ("text", "service"),
    [
        ("{command: [a]}", "app"),
        ("{image: 'app:1'}", "app"),
        ("{build: .}", "app"),
        ("{image: redis}", "db"),
        ("{image: other}", ""),
        ("{command: [a], x-twelfth: {service: web}}", "web"),
    ],
)
def test_service_of_a_job(tmp_path: Path, text: str, service: str) -> None:
    """It is the one with its image or build; of several, the one that runs are made from."""
    assert service == job(tmp_path, text).service


def test_settings_of_a_job(tmp_path: Path) -> None:
    """They are under `x-twelfth`."""
    settings = "timeout: 5m, reason: required, concurrency: queue, tty: false, confirm: Sure?, keep: 14, help: Do it"
    read = job(tmp_path, f"{{x-twelfth: {{{settings}, notify: {{url: 'https://x/y'}}}}}}")

    assert (300.0, True, "queue", False) == (read.timeout, read.needs_reason, read.concurrency, read.tty)
    assert ("Sure?", 14, "Do it", Notify(url="https://x/y")) == (read.confirm, read.keep, read.help, read.notify)


def test_notify_of_a_file(tmp_path: Path) -> None:
    """It is for all runs and changes."""
    text = "x-twelfth: {notify: {on: always, command: [mail, root], output: 5}}\nservices: {a: {image: x}}\n"
    (tmp_path / "compose.yaml").write_text(text)

    assert Notify("always", command=("mail", "root"), output=5) == load.load_stack(tmp_path, HOME).notify


def test_this_project_is_backed_up_each_night() -> None:
    """The last 14 backups are kept."""
    backup = load.load_stack(ROOT, HOME).job("backup")

    assert backup
    assert ("worker", 14, (Schedule("17 3 * * *"),)) == (backup.service, backup.keep, backup.schedules)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{x-twelfth: {timeout: soon}}", "jobs.job.x-twelfth.timeout is soon. Try: write a duration such as 30"),
        ("{x-twelfth: {reason: maybe}}", "jobs.job.x-twelfth.reason is maybe, which is unsupported"),
        (
            "{x-twelfth: {concurrency: 2}}",
            "x-twelfth.concurrency is 2, which is unsupported. Try: write forbid or queue",
        ),
        ("{x-twelfth: {tty: 1}}", "jobs.job.x-twelfth.tty is 1. Try: write true or false"),
        ("{x-twelfth: {keep: 0}}", "jobs.job.x-twelfth.keep is 0. Try: write a number, 1 or more"),
        ("{x-twelfth: {concurency: forbid}}", "jobs.job.x-twelfth.concurency is unsupported. Try: concurrency"),
        ("{x-twelfth: {retries: 1}}", "jobs.job.x-twelfth.retries is unsupported. Try: remove it"),
        ("{x-twelfth: fast}", "jobs.job.x-twelfth must be a mapping"),
        ("{x-twelfth: {service: none}}", "jobs.job.x-twelfth.service is none, and there is no such service"),
        ("{x-twelfth: {notify: {on: always}}}", "jobs.job.x-twelfth.notify has no url and no command"),
        ("{x-twelfth: {notify: {url: mail}}}", "jobs.job.x-twelfth.notify.url is mail. Try: write a URL"),
        ("{deploy: {replicas: 2}}", "cannot read x-jobs: validating -: jobs.job.deploy is not a key that Compose"),
        ("[a]", "compose.yaml: x-jobs must be a mapping of jobs. Try: write NAME"),
    ],
)
def test_invalid_job_is_refused_by_its_key(tmp_path: Path, text: str, why: str) -> None:
    """The message has the full name of the key and what to write."""
    with pytest.raises(MisuseError) as error:
        job(tmp_path, text)

    assert why in str(error.value)


@pytest.mark.parametrize(
    ("schedule", "why"),
    [
        ("'61 * * * *'", "cron is 61 * * * * (invalid minute). Try: write five fields such as 30 3 * * *, or @daily"),
        ("'@every 5m'", "cron is @every 5m (it does not have 5 fields). Try: write"),
        ("'0 0 0 * * *'", "cron is 0 0 0 * * * (it does not have 5 fields). Try: write"),
        ("'0 0 30 2 *'", "cron is 0 0 30 2 * (invalid day-of-month). Try: write"),
        ("'* * */20 * 1L'", "cron is * * */20 * 1L, a date that never comes. Try: write"),
        ("{cron: '@daily', timezone: Mars/Base}", "timezone is Mars/Base, which is unknown on this machine. Try:"),
        ("{cron: '@daily', timezone: /etc/passwd}", "timezone is /etc/passwd, which is unknown on this machine. Try:"),
    ],
)
def test_invalid_schedule_is_refused_by_its_key(tmp_path: Path, schedule: str, why: str) -> None:
    """When the whole file is read; an operator can still start the job."""
    text = f"x-jobs: {{job: {{triggers: {{schedule: ['@hourly', {schedule}]}}}}}}"
    with pytest.raises(MisuseError) as error:
        stack(tmp_path, text)

    assert f"compose.yaml: jobs.job.triggers.schedule[1].{why}" in str(error.value)
    assert () == load.load_names(tmp_path, HOME).jobs[0].refusals


def test_names_are_read_with_an_invalid_job(tmp_path: Path) -> None:
    """Only a start of that job raises its errors."""
    (tmp_path / "compose.yaml").write_text(f"{SERVICES}x-jobs: {{a: {{x-twelfth: {{keep: 0}}}}, b: {{command: [b]}}}}")
    a, b = load.load_names(tmp_path, HOME).jobs

    assert ("jobs.a.x-twelfth.keep is 0. Try: write a number, 1 or more",) == a.refusals
    assert () == b.refusals


def test_job_of_a_disabled_profile_does_not_exist(tmp_path: Path) -> None:
    """As a service of one."""
    text = "x-jobs: {a: {command: [a], profiles: [p]}, b: {command: [b]}}"

    assert ["b"] == [job.name for job in stack(tmp_path, text).jobs]
    assert ["a", "b"] == [job.name for job in stack(tmp_path, text, COMPOSE_PROFILES="p").jobs]


def test_jobs_that_depend_on_each_other_are_refused(tmp_path: Path) -> None:
    """By all that read the whole file, and not only by the schedule at night."""
    jobs = "x-jobs: {a: {command: [a], depends_on: [b]}, b: {command: [b], depends_on: [a]}}"
    with pytest.raises(MisuseError, match=r"^compose.yaml: jobs depend on each other: a → b → a. Remove one of them"):
        stack(tmp_path, jobs)


@pytest.mark.parametrize(
    ("key", "similar"),
    [("x-job", "x-jobs"), ("x-twelth", "x-twelfth"), ("x-jobs", ""), ("x-logging", ""), ("x-common", ""), ("jobs", "")],
)
def test_misspelled_key_is_reported(key: str, similar: str) -> None:
    """Compose ignores all `x-` keys that it does not know."""
    assert similar == load.similar_extension(key)


def test_job_under_both_keys_is_refused(tmp_path: Path) -> None:
    """One of them would be ignored."""
    with pytest.raises(MisuseError, match=r"^compose.yaml: x-jobs.a is also in jobs. Try: remove one of them$"):
        stack(tmp_path, "jobs: {a: {image: x, triggers: {manual: true}}}\nx-jobs: {a: {command: [a]}}")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{app: {command: [a]}}", "compose.yaml: x-jobs.app is also the name of a service. Try: rename the job"),
        (
            "{../a: {command: [a]}}",
            "compose.yaml: x-jobs.../a is not a name. Try: write letters, digits, dots, - and _",
        ),
        ("{a: {depends_on: [c]}}", 'cannot read x-jobs: job "a" depends on undefined service or job "c": invalid com'),
    ],
)
def test_name_that_compose_refuses_for_a_job_is_refused(tmp_path: Path, text: str, why: str) -> None:
    """Compose does not check what is below `x-jobs`."""
    with pytest.raises(MisuseError, match=f"^{re.escape(why)}"):
        stack(tmp_path, f"x-jobs: {text}")


def test_missing_key_of_a_job_is_named(tmp_path: Path) -> None:
    """Compose requires it."""
    with pytest.raises(MisuseError, match=r"jobs\.a missing property 'triggers'"):
        stack(tmp_path, "jobs: {a: {image: x}}")


REPEATED = """
name: shop
services:
  app: {image: "app:1", user: "1", environment: {A: "1", B: "2"}, networks: [front], mem_limit: 5m}
networks: {front: , back: {driver_opts: {a: b}}, unused: }
volumes: {data: , mine: {external: true}, unused: }
KEY:
  job:
    image: "app:1"
    user: "1"
    environment: {A: "1", B: "3"}
    networks: [front]
    mem_limit: 6m
    command: [a]
    triggers: {manual: true}
  apart: {image: other, command: [a], volumes: ["mine:/m"], triggers: {manual: true}}
  joined: {image: other, network_mode: "service:app", triggers: {manual: true}}
  back: {image: other, networks: [back], triggers: {manual: true}}
"""


@pytest.mark.parametrize("key", ["jobs", "x-jobs"])
def test_only_what_differs_from_the_service_is_requested(tmp_path: Path, key: str) -> None:
    """A file for Compose, whose jobs inherit nothing, repeats in the job what it shares with the service."""
    (tmp_path / "compose.yaml").write_text(REPEATED.replace("KEY", key))
    job = load.load_stack(tmp_path, HOME).job("job")

    assert job
    assert {"command", "environment", "mem_limit"} == job.changes.keys
    assert (("B", "3"),) == job.changes.container.environment


@pytest.mark.parametrize("key", ["jobs", "x-jobs"])
def test_networks_and_volumes_of_jobs_belong_to_the_stack(tmp_path: Path, key: str) -> None:
    """Compose leaves out those that no service uses. A job with a separate image is on the default network."""
    (tmp_path / "compose.yaml").write_text(REPEATED.replace("KEY", key))
    stack = load.load_stack(tmp_path, HOME)
    networks = {job.name: job.changes.container.networks for job in stack.jobs}

    assert {"apart": ("default",), "back": ("back",), "job": (), "joined": ()} == networks
    assert ["back", "default", "front"] == sorted(network.name for network in stack.networks)
    assert [("mine", True)] == [(volume.name, volume.external) for volume in stack.volumes]
    assert ["default", "front"] == sorted(network.name for network in load.load_names(tmp_path, HOME).networks)[1:]


def test_canonical_job_with_a_separate_image_is_on_the_default_network(tmp_path: Path) -> None:
    """Compose does not read it a second time."""
    (tmp_path / "compose.yaml").write_text(
        "name: p\nservices: {app: {image: a, networks: [x]}}\nnetworks: {x: }\nx-jobs: {j: {image: b, command: [c]}}"
    )
    stack = load.load_stack(tmp_path, HOME)

    assert ("default",) == stack.jobs[0].changes.container.networks
    assert {"default", "x"} == {network.name for network in stack.networks}
