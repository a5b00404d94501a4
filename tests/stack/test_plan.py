"""What `up` and `down` decide, as values."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.release_commands import release_command
from twelfth.errors import MisuseError
from twelfth.model.service import Build, Mount, Port, Reload, Service
from twelfth.model.snapshot import UNKNOWN, Replica, Snapshot
from twelfth.model.stack import Network, Stack, Volume
from twelfth.stack import load, plan
from twelfth.stack.steps import RemoveResource

if TYPE_CHECKING:
    from collections.abc import Iterable

REDIS = Service("redis", "redis:8", networks=("back",), mounts=(Mount("volume", "/data", "data"),))
WORKER = Service("worker", "app:abc", build=Build(Path()), networks=("front", "back"), depends_on=("redis",))
WEB = Service("web", "haproxy:3", networks=("front",), ports=(Port(8000, 8000),), depends_on=("worker",))
STACK = Stack("p", Path(), (REDIS, WORKER, WEB), (Network("front"), Network("back", internal=True)), (Volume("data"),))
RECIPES = {name: {"image": f"{name} image", "environment.A": "1"} for name in ("redis", "worker", "web")}


def replica(service: str, number: int = 1, **changes: object) -> Replica:
    """Return a running replica as its recipe wants it."""
    return replace(Replica(service, number, f"{service}{number}", "running", RECIPES[service]), **changes)  # type: ignore[arg-type]


CONVERGED = Snapshot(
    replicas=(replica("redis"), replica("worker"), replica("web")),
    networks=STACK.networks,
    volumes=STACK.volumes,
    images=frozenset({"redis:8", "app:abc", "haproxy:3"}),
)


def steps(found: Snapshot, stack: Stack = STACK, recipes: dict[str, dict[str, str]] | None = None) -> list[str]:
    """Return the printed steps of `up`."""
    return [str(step) for step in plan.up(stack, found, recipes or RECIPES)]


def created(name: str, cause: str = "missing") -> list[str]:
    """Return the steps that make a replica."""
    return [f"Create {name} ({cause})", f"Wait for {name} (until it is ready)"]


def test_image_that_a_chosen_service_is_built_from_is_built_first() -> None:
    """Its service is not deployed; and with the image of the chosen service, nothing is built."""
    base = Service("base", "base:abc", build=Build(Path()))
    worker = replace(WORKER, build=Build(Path(), additional_contexts=(("b", "service:base"),)), depends_on=())
    stack, recipes = Stack("p", Path(), (base, worker)), {"base": {}, **RECIPES}
    planned = plan.up(stack, Snapshot(), recipes, only=["worker"])
    names = [str(step) for step in planned if "base" in str(step) or "Build" in str(step)]

    assert ["Build base:abc (missing)", "Build app:abc (missing)"] == names
    built = Snapshot(images=frozenset({"app:abc"}))
    assert not [step for step in plan.up(stack, built, recipes, only=["worker"]) if "Build" in str(step)]


def test_chosen_services_are_deployed_with_what_they_depend_on() -> None:
    """Others, orphans and networks stay as they are, also if they have changed."""
    recipes = {name: recipe | {"environment.A": "2"} for name, recipe in RECIPES.items()}
    snapshot = replace(
        CONVERGED,
        replicas=(*CONVERGED.replicas, replace(replica("web"), service="old")),
        networks=(Network("front", internal=True), Network("back", known_as="renamed")),
    )

    assert ["Create network back (missing)", "Replace redis-1 (environment.A changed)"] == [
        str(step) for step in plan.up(STACK, snapshot, recipes, only=["redis"])
    ][:2]
    planned = plan.up(STACK, snapshot, recipes, only=["worker"])
    assert {"redis", "worker"} == {step.service.name for step in planned if hasattr(step, "service")}
    assert not any(isinstance(step, RemoveResource) for step in planned)
    everything = [str(step) for step in plan.up(STACK, Snapshot(), RECIPES, only=["redis"])]
    assert "Pull redis:8 (missing)" == everything[0]
    assert created("redis-1") == everything[-2:]


WATCHED = "Watch worker-1 for 5 s (before the old worker-1 is removed)"


def rolled(cause: str) -> list[str]:
    """Return the steps that replace the only worker."""
    return [*created("worker-1", cause), WATCHED, "Remove worker-1 (replaced by the new one)"]


def test_nothing_there_makes_everything_in_order_of_dependence() -> None:
    """Images first, then networks and volumes, then each service after what it depends on."""
    assert [
        "Pull redis:8 (missing)",
        "Build app:abc (missing)",
        "Pull haproxy:3 (missing)",
        "Create network front (missing)",
        "Create network back (missing)",
        "Create volume data (missing)",
        "Create redis-1 (missing)",
        "Wait for redis-1 (until it is ready)",
        "Create worker-1 (missing)",
        "Wait for worker-1 (until it is ready)",
        "Create web-1 (missing)",
        "Wait for web-1 (until it is ready)",
    ] == steps(Snapshot())


def test_converged_stack_plans_nothing() -> None:
    """A second `up` has nothing to do."""
    assert [] == steps(CONVERGED)


def test_changed_recipe_replaces_only_that_service_and_names_what_changed() -> None:
    """The cause is the name of the difference."""
    changed = {**RECIPES, "worker": {"image": "worker image", "environment.A": "2"}}

    assert rolled("environment.A changed") == steps(CONVERGED, recipes=changed)


CONFIGURED = {**RECIPES, "web": {**RECIPES["web"], "config./etc/a": "one", "config./etc/b": "one"}}
WITH_RELOAD = replace(STACK, services=(REDIS, WORKER, replace(WEB, reload=Reload("SIGHUP"))))


def configured(**changes: object) -> Snapshot:
    """Return a stack whose door can be reloaded, and has an older content of one of its configuration files."""
    door = replica("web", recipe={**CONFIGURED["web"], "config./etc/a": "zero"}, is_reloadable=True)
    return replace(CONVERGED, replicas=(*CONVERGED.replicas[:2], replace(door, **changes)))  # type: ignore[arg-type]


def test_changed_configuration_file_is_loaded_by_the_replica_that_is_there() -> None:
    """Where its service says how; what changed is the cause."""
    assert ["Reload web-1 (config./etc/a changed)"] == steps(configured(), WITH_RELOAD, CONFIGURED)


@pytest.mark.parametrize(
    ("stack", "changes", "cause"),
    [
        (STACK, {}, "config./etc/a changed"),
        (WITH_RELOAD, {"is_reloadable": False}, "config./etc/a changed"),
        (WITH_RELOAD, {"state": "exited (1)"}, "config./etc/a changed"),
        (WITH_RELOAD, {"recipe": {**CONFIGURED["web"], "environment.A": "0"}}, "environment.A changed"),
        (
            WITH_RELOAD,
            {"recipe": {**CONFIGURED["web"], "environment.A": "0", "config./etc/a": "zero"}},
            "config./etc/a, environment.A changed",
        ),
        (WITH_RELOAD, {"recipe": RECIPES["web"]}, "config./etc/a, config./etc/b changed"),
        (WITH_RELOAD, {"recipe": {**CONFIGURED["web"], "config./etc/c": "one"}}, "config./etc/c changed"),
    ],
    ids=[
        "nobody said how",
        "not a copy of ours",
        "it ended",
        "not a file",
        "not only a file",
        "new files",
        "lost file",
    ],
)
def test_replica_that_cannot_be_reloaded_is_replaced(stack: Stack, changes: dict[str, object], cause: str) -> None:
    """A file that was mounted can change under a replica that runs; nothing else can."""
    assert [f"Replace web-1 ({cause})"] == steps(configured(**changes), stack, CONFIGURED)


def test_each_replica_that_stays_is_reloaded_and_no_other() -> None:
    """One that will be removed, or that gets no requests yet, is not changed."""
    recipes = {**RECIPES, "worker": {**RECIPES["worker"], "config./etc/a": "one"}}
    stack = replace(STACK, services=(REDIS, replace(WORKER, replicas=2, reload=Reload("SIGHUP")), WEB))
    old = replica("worker", recipe={**recipes["worker"], "config./etc/a": "zero"}, is_reloadable=True)
    workers = (old, replace(old, number=2), replace(old, number=3), replace(old, number=4, is_admitted=False))
    found = replace(CONVERGED, replicas=(CONVERGED.replicas[0], *workers, CONVERGED.replicas[2]))

    assert [
        "Reload worker-1 (config./etc/a changed)",
        "Reload worker-2 (config./etc/a changed)",
        "Remove worker-4 (it was never admitted)",
        "Remove worker-3 (scale to 2)",
    ] == steps(found, stack, recipes)


def test_what_the_engine_cannot_tell_is_not_held_against_a_replica() -> None:
    """A stack that Compose made says nothing of some things and is adopted all the same."""
    unknown = replica("web", recipe={**RECIPES["web"], "environment.A": UNKNOWN})
    found = replace(CONVERGED, replicas=(*CONVERGED.replicas[:2], unknown))

    assert [] == steps(found)


@pytest.mark.parametrize("state", ["created", "restarting", "paused"])
def test_replica_that_does_not_run_is_replaced(state: str) -> None:
    """What a failed `up` left is re-created, with its state as the cause."""
    found = replace(CONVERGED, replicas=(replica("redis", state=state), *CONVERGED.replicas[1:]))

    assert [f"Replace redis-1 ({state})"] == steps(found)


def test_scaling_up_creates_only_what_is_missing() -> None:
    """The replica that runs is left alone."""
    stack = replace(STACK, services=(REDIS, load.scaled_service(STACK, "worker=3"), WEB))

    assert [*created("worker-2"), *created("worker-3")] == steps(CONVERGED, stack)


def test_scaling_down_removes_the_highest_numbers() -> None:
    """Numbers above the wish go."""
    found = replace(CONVERGED, replicas=(*CONVERGED.replicas, replica("worker", 2)))

    assert ["Remove worker-2 (scale to 1)"] == steps(found)


def test_service_that_is_no_longer_declared_is_removed_where_that_is_asked_for() -> None:
    """It may be of another file or profile."""
    found = replace(CONVERGED, replicas=(*CONVERGED.replicas, Replica("old", 1, "x", "running", {})))

    assert [] == steps(found)
    assert ["Remove old-1 (--remove-orphans)"] == [
        str(step) for step in plan.up(STACK, found, RECIPES, remove_orphans=True)
    ]


def test_service_that_does_not_run_on_this_engine_is_left_out() -> None:
    """No recipe, no image, no replica; one that ran here before goes."""
    here = {name: RECIPES[name] for name in ("redis", "worker")}

    assert [] == steps(
        replace(CONVERGED, replicas=CONVERGED.replicas[:2], images=CONVERGED.images - {"haproxy:3"}), recipes=here
    )
    assert ["Remove web-1 (its service does not run on this engine)"] == steps(CONVERGED, recipes=here)


def test_changed_network_is_made_anew_with_all_that_is_on_it() -> None:
    """A network in use cannot be removed, so its replicas go first and come back after it."""
    found = replace(CONVERGED, networks=(Network("front"), Network("back")))

    assert [
        "Remove redis-1 (its network is re-created)",
        "Remove worker-1 (its network is re-created)",
        "Remove network back (its settings changed)",
        "Create network back (its settings changed)",
        *created("redis-1", "its network is re-created"),
        *created("worker-1", "its network is re-created"),
    ] == steps(found)


def test_down_removes_dependants_first_and_keeps_the_data() -> None:
    """The door closes first; volumes stay unless they are named."""
    kept = [str(step) for step in plan.down(STACK, CONVERGED, ())]

    assert [
        "Remove web-1 (down)",
        "Remove worker-1 (down)",
        "Remove redis-1 (down)",
        "Remove network front (down)",
        "Remove network back (down)",
    ] == kept
    assert "Remove volume data (down --volumes)" == str(plan.down(STACK, CONVERGED, (), volumes=True)[-1])


@pytest.mark.parametrize(
    ("name", "replicas", "message"),
    [
        (
            "redis",
            2,
            (
                "redis=2: redis keeps its data in the volume data, so there can be only one replica. "
                "Try: invoke scale redis=1"
            ),
        ),
        ("web", 2, "web=2: web publishes port 8000, so there can be only one replica. Try: invoke scale web=1"),
        ("worker", 0, "worker=0: at least 1 replica is required. To remove the stack: invoke down"),
        (
            "worker",
            101,
            "worker=101: x-twelfth.max-replicas is 100. Try: invoke scale worker=100",
        ),
        ("nobody", 2, "nobody=2: there is no service 'nobody'; there are redis, worker, web"),
    ],
)
def test_impossible_scale_is_refused_by_name(name: str, replicas: int, message: str) -> None:
    """The refusal says why and what to type."""
    with pytest.raises(MisuseError) as refused:
        load.scaled_service(replace(STACK, max_replicas=(("worker", 100),)), f"{name}={replicas}")

    assert message == str(refused.value)


@pytest.mark.parametrize("wish", ["a", "a=", "a=-1", "a=two", "a=\u0662", "a=" + 5000 * "9"])
def test_scale_that_is_no_number_is_refused(wish: str) -> None:
    """In a line of a bearable length, however many digits there are."""
    with pytest.raises(MisuseError, match=r": write SERVICE=N, such as worker=2$") as refused:
        load.scaled_service(STACK, wish)

    assert len(str(refused.value)) < 100


def released(**recipe: str) -> tuple[Stack, dict[str, dict[str, str]]]:
    """Return the stack with a release command, and recipes of which the worker's has this."""
    worker = replace(WORKER, pre_start=release_command(("migrate", "a b")))
    return replace(STACK, services=(REDIS, worker, WEB)), RECIPES | {"worker": RECIPES["worker"] | recipe}


def test_release_command_runs_before_anything_of_a_new_release() -> None:
    """After what it depends on, before the first replica is replaced."""
    stack, recipes = released(image="new image")

    assert ["Run migrate 'a b' (before the first worker of its release)", *rolled("image changed")] == steps(
        CONVERGED, stack, recipes
    )
    assert [
        *created("redis-1"),
        "Run migrate 'a b' (before the first worker of its release)",
        *created("worker-1"),
        *created("web-1"),
    ] == steps(Snapshot(), stack, recipes)[-7:]


def test_release_command_runs_before_anything_that_serves_is_touched() -> None:
    """One that fails has changed nothing, not even what the new release depends on."""
    stack, recipes = released(image="new image")
    steps_ = steps(CONVERGED, stack, recipes | {"redis": RECIPES["redis"] | {"environment.A": "2"}})

    assert [
        "Run migrate 'a b' (before the first worker of its release)",
        "Replace redis-1 (environment.A changed)",
        *rolled("image changed"),
    ] == steps_


def test_release_command_does_not_run_for_more_of_what_serves() -> None:
    """Nor where nothing is to be done."""
    stack, recipes = released()
    more = load.scaled_service(stack, "worker=2")
    services = tuple(more if each.name == "worker" else each for each in stack.services)

    assert [] == steps(CONVERGED, stack, recipes)
    assert created("worker-2") == steps(CONVERGED, replace(stack, services=services), recipes)


def test_release_command_runs_before_anything_of_a_new_configuration() -> None:
    """Another address or password of Redis is tried before a serving replica is replaced; another limit is not."""
    stack, recipes = released(**{"environment.A": "2"})
    _, filed = released(**{"config./etc/a": "2"})
    assert "Run migrate 'a b' (before the first worker with its configuration)" == steps(CONVERGED, stack, filed)[0]
    _, limited = released(**{"limits.memory": "1"})

    assert [
        "Run migrate 'a b' (before the first worker with its configuration)",
        *rolled("environment.A changed"),
    ] == steps(CONVERGED, stack, recipes)
    assert rolled("limits.memory changed") == steps(CONVERGED, stack, limited)


def test_release_command_runs_where_what_serves_is_not_ready() -> None:
    """Such as after a restore of older data."""
    stack, recipes = released()

    assert ["Run migrate 'a b' (the running release is not ready: the data lacks revision 0002)"] == [
        str(step) for step in plan.up(stack, CONVERGED, recipes, unready={"worker": "the data lacks revision 0002"})
    ]


def test_change_of_what_is_ill_comes_before_the_release_command_that_needs_it() -> None:
    """Else the command would wait for it, and no `up` could ever cure it."""
    stack, recipes = released(image="new image")
    recipes = {**recipes, "redis": recipes["redis"] | {"command": "fixed"}}
    ill = replace(CONVERGED, replicas=(replica("redis", health="unhealthy"), *CONVERGED.replicas[1:]))
    cure, command = "Replace redis-1", "Run migrate"

    assert [[cure, command], [cure, command], [command, cure]] == [
        order(plan.up(stack, found, recipes, unready=unready))
        for found, unready in ((ill, {}), (CONVERGED, {"worker": "no Redis"}), (CONVERGED, {}))
    ]


def order(steps: Iterable[object]) -> list[str]:
    """Return the first words of what is done to Redis, and of the release command."""
    return [" ".join(str(step).split()[:2]) for step in steps if str(step).startswith(("Replace redis", "Run migrate"))]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"environment.REDIS_URL": "redis://:secret@redis"}, ["Replace redis-1", "Run migrate"]),
        ({"config./etc/redis": "secret"}, ["Replace redis-1", "Run migrate"]),
        ({"image": "new image"}, ["Run migrate", "Replace redis-1"]),
    ],
)
def test_dependency_is_changed_before_a_release_command_that_has_another_configuration(
    changes: dict[str, str], expected: list[str]
) -> None:
    """A password, and the URL that contains it: the command would try the new one on the old Redis."""
    stack, recipes = released()
    recipes = {**recipes, "redis": recipes["redis"] | {"command": "--requirepass secret"}}
    recipes["worker"] = recipes["worker"] | changes

    assert expected == order(plan.up(stack, CONVERGED, recipes))


def test_nothing_that_serves_needs_no_protection() -> None:
    """A release that never got ready is gone, and what it depends on may be why."""
    stack, recipes = released()
    recipes = {**recipes, "redis": recipes["redis"] | {"command": "fixed"}}
    found = replace(CONVERGED, replicas=tuple(each for each in CONVERGED.replicas if each.service != "worker"))

    assert ["Replace redis-1", "Run migrate"] == order(plan.up(stack, found, recipes))


def test_network_of_what_a_release_command_needs_is_made_again_before() -> None:
    """What is made on the old one would have the name of what still stands there, and keep the network busy."""
    stack, recipes = released(image="new image")
    stack = replace(stack, networks=(Network("front"), Network("back")))
    found = replace(CONVERGED, replicas=CONVERGED.replicas[1:])  # no redis
    steps_ = steps(found, stack, recipes)

    order = ["Remove network back", "Create network back", "Create redis-1", "Run migrate", "Create worker-1"]
    places = [next(place for place, step in enumerate(steps_) if step.startswith(words)) for words in order]
    assert sorted(places) == places


@pytest.mark.parametrize(("service", "dependants"), [("redis", ("back",)), ("worker", ("front",)), ("web", ())])
def test_a_service_is_looked_for_on_the_networks_of_its_dependants(service: str, dependants: tuple[str, ...]) -> None:
    """There a replica is not found until it is ready."""
    declared = next(each for each in STACK.services if each.name == service)

    assert dependants == STACK.networks_to_dependants(declared)


def test_only_replica_never_has_another_beside_it() -> None:
    """A killed `up` left the stopped one and a new one: changed again, the stopped one goes first."""
    old, new = replica("redis", state="exited (0)"), replica("redis", 2)
    found = replace(CONVERGED, replicas=(old, new, *CONVERGED.replicas[1:]))
    recipes = {**RECIPES, "redis": RECIPES["redis"] | {"environment.A": "2"}}

    assert [
        "Remove redis-1 (environment.A changed)",
        "Replace redis-2 with redis-1 (environment.A changed)",
    ] == steps(found, recipes=recipes)


def test_replicas_that_do_not_serve_are_the_first_to_go() -> None:
    """So that a deploy of three, of which one is dead, never has fewer than the two that serve."""
    found = replace(
        CONVERGED,
        replicas=(
            *(replica("worker", number, recipe={"image": "old"}) for number in (1, 2)),
            replica("worker", 3, state="exited (1)", recipe={"image": "old"}),
            replica("redis"),
            replica("web"),
        ),
    )
    stack = replace(STACK, services=(REDIS, load.scaled_service(STACK, "worker=3"), WEB))

    assert ["worker-3", "worker-1", "worker-2"] == [
        step.split()[1] for step in steps(found, stack) if step.startswith("Remove")
    ]


def test_replica_that_was_never_admitted_is_admitted_now() -> None:
    """An interrupted deploy continues where it was."""
    found = replace(
        CONVERGED,
        replicas=(
            replica("worker", recipe={"image": "old"}),
            replica("worker", id="new", is_admitted=False, replaces="worker1"),
            replica("redis"),
            replica("web"),
        ),
    )

    assert [created("worker-1")[1], WATCHED, "Remove worker-1 (replaced by the new one)"] == steps(found)


def test_engine_that_rolls_services_is_given_whole_services() -> None:
    """One step per service to create, change, scale and remove it, and none if nothing changed."""
    converged = replace(CONVERGED, rolls_services=True)
    scaled = replace(WORKER, replicas=2)
    recipes = RECIPES | {"worker": {"image": "new", "environment.A": "1"}}

    assert ["Roll out redis (missing)", "Roll out worker (missing)", "Roll out web (missing)"] == steps(
        replace(converged, replicas=())
    )
    assert [] == steps(converged)
    assert ["Roll out worker (image changed)"] == steps(converged, recipes=recipes)
    assert ["Scale worker to 2 (1 running)"] == [str(step) for step in plan.scale(scaled, converged)]
    assert ["Remove web (down)", "Remove worker (down)", "Remove redis (down)"] == [
        str(step) for step in plan.down(STACK, converged, ())[:3]
    ]
