"""The command ps: the replicas of the services, and the runs, as one table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from twelfth.cli.command import command, typed_services
from twelfth.cli.outputs import terminal_width
from twelfth.cli.target import Target

if TYPE_CHECKING:
    from invoke.context import Context

    from twelfth.model.run import Run
    from twelfth.model.snapshot import Replica


@dataclass(frozen=True)
class Process:
    """A replica or a run; `id` is the engine's id of a replica."""

    name: str
    kind: str
    id: str
    state: str
    health: str
    release: str
    command: tuple[str, ...] = ()


@command(
    words="[SERVICE…]",
    help={
        "all": "Also list replicas and runs that are not running",
        "quiet": "Print only the ids",
    },
)
def ps(
    c: Context,
    all: bool = False,  # noqa: A002 - the name of the option, as in Compose
    quiet: bool = False,
    json: bool = False,
) -> None:
    """List the running replicas and runs.

    With services, only their replicas.
    """
    from twelfth.cli import views
    from twelfth.stack.load import refuse_unknown_services

    engine, services = Target(c).engine("existing"), typed_services()
    refuse_unknown_services(engine.stack, services)
    replicas = [replica for replica in engine.replicas_of(services) if all or replica.is_running]
    runs = [run for run in engine.runs.records() if all or run.is_running] if not services else []
    processes = [*map(of_replica, replicas), *map(of_run, runs)]
    if quiet:
        print("".join(f"{process.id}\n" for process in processes), end="")
    elif json:
        print(views.to_json([vars(process) for process in processes]))
    else:
        print(views.processes(processes, terminal_width()))


def of_replica(replica: Replica) -> Process:
    """Return a replica of a service."""
    return Process(replica.name, "replica", replica.id, replica.state, replica.health, replica.version)


def of_run(run: Run) -> Process:
    """Return a run."""
    return Process(f"run {run.id}", "run", run.id, run.state, "", run.release or run.image, run.command)
