"""Networks, volumes and services that the Compose file declares otherwise, or not at all, on the engine in memory."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import Recorded
from tests.memory_engine import Memory, World
from tests.real_redis import eventually
from tests.release_commands import release_command
from twelfth.errors import BusyError, MisuseError, ServiceError
from twelfth.model.service import SERVICE_COMPLETED, Build, Mount, Service, as_options
from twelfth.model.snapshot import Attachment, Replica, Snapshot
from twelfth.model.stack import Network, Stack, Volume
from twelfth.runs.request import new_request
from twelfth.runs.source import choose_source, from_release
from twelfth.runs.start import make_networks
from twelfth.stack import deploy, lifecycle, notices, resources, status

if TYPE_CHECKING:
    from collections.abc import Callable

DB = Service("db", "db:1", networks=("back",), mounts=(Mount("volume", "/data", "data"),))
APP = Service(
    "app",
    "app:one",
    build=Build(Path()),
    networks=("back",),
    depends_on=("db",),
    pre_start=release_command(("sh", "-c", "echo done")),
)
OLD_VOLUME = "the volume p_data stays with its data: volumes.data is now {}; to remove it with its data: {}"


@dataclass
class Project:
    """A stack in memory that is up."""

    stack: Stack
    world: World = field(default_factory=World)
    warnings: list[str] = field(default_factory=list)

    def engine(self) -> Memory:
        """Return a new engine."""
        return Memory(self.stack, self.world)

    def up(self, *, remove_orphans: bool = False) -> list[str]:
        """Bring it up; return what that changed."""
        self.world.done.clear()
        self.warnings.clear()
        options = deploy.UpOptions(1.0, remove_orphans=remove_orphans, warn=self.warnings.append)
        deploy.up(self.engine(), Recorded(), options)
        return list(self.world.done)

    def down(self, *, volumes: bool = False, remove_orphans: bool = False) -> list[str]:
        """Take it down; return what that changed."""
        self.world.done.clear()
        lifecycle.down(self.engine(), Recorded(), volumes=volumes, remove_orphans=remove_orphans)
        engine = self.engine()
        self.warnings[:] = notices.of_down(engine, engine.observe(), volumes=volumes)
        return list(self.world.done)

    def declare(self, *declared: Network | Volume) -> None:
        """Declare networks and volumes in place of those of the same kind."""
        kinds: dict[str, tuple[Network | Volume, ...]] = {}
        for each in declared:
            kinds[f"{each.kind}s"] = (*kinds.get(f"{each.kind}s", ()), each)
        self.stack = replace(self.stack, **kinds)  # type: ignore[arg-type]

    def edit(self, name: str, **changes: object) -> None:
        """Declare a service otherwise."""
        services = (replace(one, **changes) if one.name == name else one for one in self.stack.services)  # type: ignore[arg-type]
        self.stack = replace(self.stack, services=tuple(services))

    def names(self) -> set[str]:
        """Return what the engine calls the networks and volumes that exist."""
        return {self.stack.engine_name(each) for each in self.world.resources}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return a project that is up."""
    made = Project(Stack("p", tmp_path, (DB, APP), (Network("back"),), (Volume("data"),)))
    made.up()
    return made


def refused(call: Callable[[], object], error: type[Exception], project: Project) -> str:
    """Return what a refusal says, and check that nothing was changed before it."""
    project.world.done.clear()
    with pytest.raises(error) as found:
        call()
    assert [] == project.world.done
    return str(found.value)


EXTERNAL = (Network("back", external=True, known_as="net"), Volume("data", external=True, known_as="vol"))


def test_nothing_is_planned_for_what_is_external(project: Project) -> None:
    """The services move to it; what the stack made before goes if it holds no data, and is named if it does."""
    project.declare(*EXTERNAL)
    done = project.up()

    assert {"remove db-1", "remove app-1", "remove back"} <= set(done)
    assert {"p_data"} == project.names()
    assert [OLD_VOLUME.format("vol", "forget volume p_data")] == project.warnings
    assert [] == project.up()
    assert {"p_data"} == project.names()
    assert {"remove db-1", "remove app-1"} == set(project.down(volumes=True))
    assert {"p_data"} == project.names()


def test_what_the_stack_made_is_not_removed_once_it_is_declared_external(project: Project) -> None:
    """Under the same name: nothing moves, and `down --volumes` leaves both."""
    project.declare(
        Network("back", internal=True, external=True, known_as="p_back"),
        Volume("data", external=True, known_as="p_data"),
    )

    assert ([], []) == (project.up(), project.warnings)
    assert ["remove app-1", "remove db-1"] == project.down(volumes=True)
    assert {"p_back", "p_data"} == project.names()


def test_what_was_external_and_is_declared_as_own_is_used_and_stays(project: Project) -> None:
    """Its labels name no owner, or another: it is neither made, nor made again, nor removed, and `up` reports it."""
    project.world.resources = [
        Network("back", internal=True, known_as="net", external=True),
        Volume("data", known_as="vol", external=True),
    ]
    project.declare(Network("back", known_as="net"), Volume("data", known_as="vol"))

    assert not {"create back", "create data", "remove back", "remove data"} & set(project.up())
    assert [
        (
            "the network net is used unchanged: this stack did not create it; "
            "to declare that: networks.back.external: true"
        ),
        "the volume vol is used unchanged: this stack did not create it; to declare that: volumes.data.external: true",
    ] == project.warnings
    assert [] == project.up()
    project.down(volumes=True)
    assert {"net", "vol"} == project.names()


def test_renamed_network_converges(project: Project) -> None:
    """The new one is made, every service moves, the old one goes; a service that is needed first moves first."""
    project.declare(Network("back", known_as="new"))
    project.edit("app", image="app:two")
    done = project.up()

    order = [
        "create back",
        "create new db-1",
        "run sh -c 'echo done'",
        "create new app-1",
        "remove app-1",
        "remove back",
    ]
    assert order == [each for each in done if each in order]
    assert {"p_data", "new"} == project.names()
    assert [] == project.up()


def test_renamed_network_that_another_container_uses_stays(project: Project) -> None:
    """Until that has gone; the stack is on the new one meanwhile."""
    project.world.others = [Attachment("p_back", "cron")]
    project.declare(Network("back", known_as="new"))
    project.up()

    assert {"p_data", "new", "p_back"} == project.names()
    assert [] == project.up()
    project.world.others.clear()
    assert ["remove back"] == project.up()


def test_renamed_network_that_a_run_uses_stays(project: Project) -> None:
    """The deploy does not wait for the run; the next `up` after its end removes the network."""
    request = new_request(["sleep", "60"], choose_source(project.engine()))
    project.engine().runs.detach(request)
    project.declare(Network("back", known_as="new"))
    project.up()

    assert ({"p_data", "new", "p_back"}, []) == (project.names(), project.up())
    project.engine().runs.stop(request.id, lambda _: None)
    assert ["remove back"] == project.up()


def test_changed_network_is_refused_while_a_run_uses_it_unless_up_waits_for_runs(project: Project) -> None:
    """With `--wait-for-runs` nothing is refused: the network is re-created when the run has exited."""
    request = new_request(["sleep", "60"], choose_source(project.engine()))
    project.engine().runs.detach(request)
    project.declare(Network("back", internal=True))
    refusal = f"cannot remove a network that runs may use: {request.id} (sleep 60). Try: invoke stop {request.id}, "
    with pytest.raises(BusyError, match=re.escape(refusal)):
        project.up()

    report = Recorded()
    options = deploy.UpOptions(1.0, waits_for_runs=True)
    thread = threading.Thread(target=deploy.up, args=(project.engine(), report, options))
    thread.start()
    eventually(lambda: f"run {request.id} is running: sleep 60" in report.details)
    assert "remove back" not in project.world.done
    project.engine().runs.stop(request.id, lambda _: None)
    thread.join(10)
    assert ("remove back" in project.world.done, []) == (True, project.up())


def test_networks_that_exchange_their_names_stay(project: Project) -> None:
    """The services move; nothing is removed or made."""
    project.declare(Network("back"), Network("front"))
    project.edit("app", networks=("front",))
    project.up()
    project.declare(Network("back", known_as="p_front"), Network("front", known_as="p_back"))

    assert not [each for each in project.up() if each.split()[1] in {"back", "front"}]
    assert ({"p_data", "p_back", "p_front"}, []) == (project.names(), project.up())


def test_renamed_volume_is_a_new_one_and_the_old_one_stays(project: Project) -> None:
    """With its data, by its name, and with how to remove it; `down --volumes` does not."""
    project.declare(Volume("data", known_as="new"))

    assert ["create data", "create new db-1", "stop db-1", "start new db-1", "remove db-1"] == project.up()
    old = [OLD_VOLUME.format("new", "forget volume p_data")]
    assert old == project.warnings
    assert ([], old) == (project.up(), project.warnings)
    project.down(volumes=True)
    assert ({"p_data"}, old) == (project.names(), project.warnings)


def test_changed_volume_options_are_reported(project: Project) -> None:
    """By name, with what to do; the volume and its data stay, and so does the service."""
    project.declare(
        Volume("data", options=as_options({"driver": "local", "driver_opts": {"device": "/b", "o": "bind"}}))
    )

    assert [] == project.up()
    changed = "the volume p_data keeps its old settings: driver_opts.device, driver_opts.o changed in the Compose file"
    assert [f"{changed}; to apply this, give volumes.data another name and copy the data"] == project.warnings
    found = status.status(project.engine())
    assert (True, tuple(project.warnings)) == (found.ready, found.warnings)


@pytest.mark.parametrize(
    ("there", "declared", "changed"),
    [
        ({}, {"driver": "local"}, ()),
        ({"labels": {"a": "1"}}, {"labels": {"a": "1"}}, ()),
        ({"labels": {"a": "1"}}, {"labels": {"a": "2"}}, ("labels.a",)),
        ({"driver_opts": {"device": "/a"}}, {}, ("driver_opts.device",)),
        ({"driver": "nfs"}, {}, ("driver",)),
        ({"driver_opts": {"size": "1"}}, {"driver_opts": {"size": 1}}, ()),
        ({}, {"driver_opts": {}}, ()),
    ],
)
def test_changed_settings_of_a_volume_have_names(
    there: dict[str, object], declared: dict[str, object], changed: tuple[str, ...]
) -> None:
    """The default driver can be omitted."""
    found = Volume("data", options=as_options(there))

    assert changed == found.changes(Volume("data", options=as_options(declared)))
    assert () == replace(found, options=None).changes(Volume("data", options=as_options(declared)))


def test_two_keys_of_one_name_are_one(project: Project) -> None:
    """It is made once, and a second `up` has nothing to do; two that differ are refused."""
    project.down()
    project.declare(Network("back", known_as="one"), Network("front", known_as="one"))
    project.edit("app", networks=("front",))

    assert ["create back"] == [each for each in project.up() if each in {"create back", "create front"}]
    assert [] == project.up()
    project.declare(Network("back", known_as="one"), Network("front", known_as="one", internal=True))
    assert "networks.back and networks.front are both named one and have different settings" in refused(
        project.up, MisuseError, project
    )
    assert ["remove app-1", "remove db-1", "remove back"] == project.down()


def test_what_is_external_by_one_key_is_so_by_every_other() -> None:
    """It is refused, as the two differ, and nothing would be planned for it."""
    networks = (Network("a", known_as="x"), Network("b", known_as="x", external=True))
    volumes = (Volume("a", known_as="x"), Volume("b", known_as="x", external=True))
    stack, found = Stack("p", Path(), (), networks, volumes), Snapshot((), networks[:1], volumes[:1])

    assert (
        "networks.a and networks.b are both named x and have different settings",
        "volumes.a and volumes.b are both named x and have different settings",
    ) == (resources.contradictions(stack))
    assert () == resources.own_volumes(stack, found)
    assert () == resources.networks_to_remove(stack, found, (), orphans=True)


@pytest.fixture
def with_orphan(project: Project) -> Project:
    """Return the project, and a service of another file of the same project that is on its network."""
    project.world.replicas["old-1"] = Replica("old", 1, "old", "running", {"network.p_back": "joined"})
    project.world.resources.append(Volume("others"))
    return project


WHY = "(the Compose file does not declare their services)"
ORPHAN = f"orphans stay: old-1 {WHY}. Try: invoke {{}} --remove-orphans"


def test_service_that_is_not_declared_stays_and_is_named(with_orphan: Project) -> None:
    """As with Compose; it may be of another file or profile."""
    assert ([], [ORPHAN.format("up")]) == (with_orphan.up(), with_orphan.warnings)
    assert "old-1" in with_orphan.world.replicas


def test_service_that_is_not_declared_does_not_make_the_stack_unready(with_orphan: Project) -> None:
    """Also if it has ended; `status` warns of it."""
    with_orphan.world.replicas["old-1"] = replace(with_orphan.world.replicas["old-1"], state="exited (1)")
    found = status.status(with_orphan.engine())

    assert (True, (ORPHAN.format("up"),)) == (found.ready, found.warnings)
    assert ["db", "app"] == [each.service for each in found.services]
    assert [] == with_orphan.up()


def test_service_that_is_not_declared_is_removed_where_that_is_asked_for(with_orphan: Project) -> None:
    """Its volume stays."""
    assert (["remove old-1"], []) == (with_orphan.up(remove_orphans=True), with_orphan.warnings)
    assert Volume("others") in with_orphan.world.resources


def test_down_leaves_what_is_not_declared_and_what_that_uses(with_orphan: Project) -> None:
    """So nothing of another file is lost, its configuration and data included; it is named."""
    assert ["remove app-1", "remove db-1", "remove data"] == with_orphan.down(volumes=True)
    other = "the volume p_others stays: the Compose file does not declare it"
    assert [
        ORPHAN.format("down"),
        "the network p_back stays: it is used by old-1",
        f"{other}; to remove it with its data: forget volume p_others",
    ] == with_orphan.warnings
    assert ["remove old-1", "remove back"] == with_orphan.down(remove_orphans=True)
    assert {"p_others"} == with_orphan.names()


def test_network_of_another_file_is_removed_with_its_orphans_alone(project: Project) -> None:
    """It is of a key that the stack does not declare."""
    project.world.resources.append(Network("other"))

    assert "remove other" not in project.up() + project.down()
    assert ["remove other"] == project.down(remove_orphans=True)


def test_network_that_another_container_uses_does_not_take_the_stack_down(project: Project) -> None:
    """It cannot be made again: that is refused, by the container's name, before anything is stopped."""
    project.world.others = [Attachment("p_back", "cron")]
    project.declare(Network("back", internal=True))

    assert (
        "cannot re-create the network p_back: containers outside this stack use it (cron). "
        "Try: docker network disconnect p_back cron, then repeat the command"
    ) == refused(project.up, BusyError, project)
    assert [] == project.down()[2:]
    assert {"p_back", "p_data"} == project.names()


BOTH = (Network("back"), Network("front"))


def test_service_leaves_a_changed_network_before_it_is_made_again(project: Project) -> None:
    """The file takes it from the network and changes the network in one step: it is where it is, not where declared."""
    project.declare(*BOTH)
    project.edit("app", networks=("back", "front"))
    project.up()
    project.edit("app", networks=("front",))
    project.declare(Network("back", internal=True), BOTH[1])
    done = project.up()

    order = ["remove app-1", "remove back", "create back", "create app-1"]
    assert order == [each for each in done if each in order]
    assert ([], True) == (project.up(), status.status(project.engine()).ready)


class WithJob(Memory):
    """An engine whose jobs complete at once."""

    def create_replica(self, service: Service, number: int) -> Replica:
        """Create one that has completed, if it is of a job."""
        made = super().create_replica(service, number)
        if service.name in self.stack.completing:
            self.world.replicas[made.name] = replace(made, state="exited (0)")
        return self.world.replicas[made.name]


class ProjectWithJob(Project):
    """A stack with a job that the app waits for."""

    def engine(self) -> Memory:
        """Return a new engine."""
        return WithJob(self.stack, self.world)


@pytest.fixture
def with_job(tmp_path: Path) -> ProjectWithJob:
    """Return a project that is up, whose job has completed."""
    job = Service("job", "job:1", networks=("back",))
    app = replace(APP, depends_on=("db", "job"), conditions=(("job", SERVICE_COMPLETED),))
    made = ProjectWithJob(Stack("p", tmp_path, (DB, job, app), (Network("back"),), (Volume("data"),)))
    made.up()
    return made


def test_job_that_has_completed_stays_when_its_network_is_made_again(with_job: ProjectWithJob) -> None:
    """It needs none; a service that waits for it finds it completed."""
    with_job.declare(Network("back", internal=True))
    done = with_job.up()

    assert {"remove back", "create back"} <= {*done}
    assert not [each for each in done if "job-1" in each]
    assert ([], True) == (with_job.up(), status.status(with_job.engine()).ready)


def test_job_that_has_changed_does_not_stop_what_serves_before_the_release_command(with_job: ProjectWithJob) -> None:
    """Though its network changes, too: it completes on that as it is, and a failing command changes nothing else."""
    with_job.declare(Network("back", internal=True))
    with_job.edit("job", image="job:2")
    with_job.edit("app", image="app:two", pre_start=release_command(("false",)))
    report = Recorded()
    with pytest.raises(ServiceError):
        deploy.up(with_job.engine(), report)

    assert "Remove job-1 (image changed)" in report.steps
    assert {"db-1", "app-1"} == {each.name for each in with_job.world.replicas.values() if each.serves}
    with_job.edit("app", pre_start=APP.pre_start)
    with_job.up()
    assert ([], True) == (with_job.up(), status.status(with_job.engine()).ready)


def test_network_that_an_orphan_uses_is_not_made_again_under_it(with_orphan: Project) -> None:
    """It goes where that is asked for, before the network does."""
    with_orphan.declare(Network("back", internal=True))

    assert "orphans use it (old-1). Try: invoke up --remove-orphans" in refused(with_orphan.up, BusyError, with_orphan)
    done = with_orphan.up(remove_orphans=True)
    assert done.index("remove old-1") < done.index("remove back") < done.index("create back")


def test_first_run_makes_no_network_that_is_external(project: Project) -> None:
    """Nor one that exists."""
    project.down()
    project.declare(Network("back", external=True, known_as="net"), Network("front"))
    engine = project.engine()
    make_networks(engine, new_request(["true"], from_release(engine.stack, "one", "app")))

    assert {"p_front", "p_data"} == project.names()


def test_run_is_made_from_a_service_that_is_declared(with_orphan: Project) -> None:
    """Orphans are none."""
    assert "app" == choose_source(with_orphan.engine()).service
