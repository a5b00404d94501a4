"""Deploy a stack: observe, plan, execute. The plan decides; the engine has the effects."""

from __future__ import annotations

import contextlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from twelfth.errors import BusyError, EngineError, TwelfthError
from twelfth.operator_name import operator
from twelfth.schedule.place import passed
from twelfth.stack import notices, pins, plan, preflight
from twelfth.stack.changes import Change, recorded
from twelfth.stack.deploy_record import (
    note_build,
    note_deploy,
    note_scale,
    read_deploys,
    scaled_as_before,
    why_not_scaled,
)
from twelfth.stack.executor import execute
from twelfth.stack.job_images import plan_images
from twelfth.stack.readiness import FIX, HEALTHY, first_serving, healths, wait_until_all_serve
from twelfth.stack.release_choice import needed, plan_prune, to_roll_back_to
from twelfth.stack.stack_file import remember
from twelfth.stack.status import address
from twelfth.stack.steps import (
    CreateReplica,
    EnsureImage,
    ReloadReplica,
    ReplaceReplica,
    RollService,
    StartReplica,
    TryReplica,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from twelfth.engines.contract import Engine
    from twelfth.model.snapshot import Health, Snapshot
    from twelfth.stack.report import Report
    from twelfth.stack.steps import Step

CHANGES = CreateReplica | StartReplica | ReplaceReplica | ReloadReplica | RollService
"""Steps that change a service."""


def plan_up(engine: Engine, *, remove_orphans: bool = False, only: Collection[str] = ()) -> tuple[Step, ...]:
    """Return the steps of `up`, without executing them."""
    return _plan(engine, engine.observe(), dict, remove_orphans=remove_orphans, only=only)


def _plan(
    engine: Engine,
    snapshot: Snapshot,
    checked: Callable[[], Mapping[str, Health]],
    *,
    remove_orphans: bool,
    only: Collection[str],
) -> tuple[Step, ...]:
    preflight.refuse_idle(engine)
    preflight.refuse_contradictions(engine.stack)
    if not snapshot.rolls_services:
        preflight.refuse_second_replicas(engine.stack)
    with ThreadPoolExecutor(1) as pool:  # a healthcheck takes as long as everything else
        complaints = pool.submit(lambda: unready(engine, snapshot, checked()))
        recipes = {service.name: engine.recipe(service) for service in engine.stack.services}
        known = {name: recipe for name, recipe in recipes.items() if recipe is not None}
        steps = plan.up(
            engine.stack,
            snapshot,
            known,
            unready=complaints.result(),
            remove_orphans=remove_orphans,
            only=only,
        )
    steps = preflight.without_networks_of_runs(engine, _with_measured(engine, steps))
    return (*steps, *(() if only else plan_images(engine)))


def _with_measured(engine: Engine, steps: tuple[Step, ...]) -> tuple[Step, ...]:
    trials = read_deploys(engine.state).trials if any(isinstance(step, TryReplica) for step in steps) else {}
    return tuple(
        replace(step, seconds=trials.get(step.service.name)) if isinstance(step, TryReplica) else step for step in steps
    )


def unready(engine: Engine, snapshot: Snapshot, checked: Mapping[str, Health]) -> dict[str, str]:
    """Return, by service, why its running replicas are not ready; one replica of each is checked."""
    names = {service.name for service in engine.stack.services} - engine.stack.completing
    first = first_serving(snapshot.replicas)
    replicas = {first[name].id: first[name] for name in names & first.keys()}
    results = {replica: checked[replica] for replica in replicas if replica in checked}
    results |= healths(engine, [replica for replica in replicas.values() if replica.id not in checked])
    return {replicas[replica].service: health.complaint for replica, health in results.items() if health.complaint}


@dataclass(frozen=True)
class UpOptions:
    """The options of a deploy.

    `ready_within` are the seconds that a replica has to get ready, None for the default of its service. The numbers of
    replicas of `scaled` services are remembered. `accepts_weaker` accepts that the engine lacks declared protections.
    A rollback `is_to_previous` if the operator named no release.
    `remove_orphans` removes services that the stack does not declare. With `only`, these services and what they depend
    on are deployed. `warn` is called with each warning.
    """

    ready_within: float | None = None
    waits_for_runs: bool = False
    is_rollback: bool = False
    is_to_previous: bool = False
    accepts_weaker: bool = False
    remove_orphans: bool = False
    warn: Callable[[str], None] = lambda _: None
    scaled: Collection[str] = ()
    only: Collection[str] = ()

    @property
    def command(self) -> str:
        """The command that deploys."""
        return "rollback" if self.is_rollback else "up"


def up(
    engine: Engine,
    report: Report,
    options: UpOptions = UpOptions(),
    checked: Callable[[], Mapping[str, Health]] = dict,
) -> str:
    """Deploy the stack and return its address (`http://host:port`), "" if it has none.

    `checked` returns the results of healthchecks that this command has started already, by the replicas' ids. Raises
    `EngineError` if a replica does not get ready, `BusyError` if another command changes the stack or a run may use a
    network that would be removed.
    """
    engine.refuse_stack()
    snapshot = engine.observe()
    steps = _plan(engine, snapshot, checked, remove_orphans=options.remove_orphans, only=options.only)
    # The lock is a container on some engines. Without steps it is not needed; with steps, they are planned again.
    if steps or options.scaled or engine.losses() or not _is_stored(engine, snapshot):
        with engine.state.lock("deploying"):
            snapshot = _deploy(engine, report, options, checked)
    else:
        _warn_of_resources(engine, snapshot, options)
        remember(engine)
        _wait_for_all(engine, snapshot, steps, options)
    _keep_scheduler(engine, snapshot)
    return address(engine.stack, snapshot)


def _keep_scheduler(engine: Engine, snapshot: Snapshot) -> None:
    if snapshot.replicas and any(job.schedules for job in engine.stack.jobs):
        engine.start_scheduler(passed(os.environ))
    else:
        engine.stop_scheduler()


def _warn_of_resources(engine: Engine, snapshot: Snapshot, options: UpOptions) -> None:
    for line in notices.of_up(engine, snapshot, remove_orphans=options.remove_orphans):
        options.warn(line)


def _is_stored(engine: Engine, snapshot: Snapshot) -> bool:
    return pins.is_recorded(engine) and _keeps_releases(engine, snapshot)


def _keeps_releases(engine: Engine, snapshot: Snapshot) -> bool:
    return all(engine.keeps_release(replica.release) for replica in snapshot.replicas if replica.release)


def _deploy(
    engine: Engine, report: Report, options: UpOptions, checked: Callable[[], Mapping[str, Health]]
) -> Snapshot:
    # Another command may have changed the stack, and its scale, before this one got the lock.
    scale = read_deploys(engine.state).scale
    if (stack := scaled_as_before(engine.stack, scale, options.scaled)) != engine.stack:
        engine = engine.with_stack(stack)
    if options.is_to_previous and to_roll_back_to(engine) != engine.stack.release:
        raise BusyError("cannot roll back: another command has changed the running release. Try: invoke rollback")
    preflight.refuse_losses(engine, accepts=options.accepts_weaker)
    snapshot = engine.observe()
    steps = _plan(engine, snapshot, checked, remove_orphans=options.remove_orphans, only=options.only)
    preflight.refuse_taken_ports(engine, steps, snapshot)
    preflight.refuse_disturbing_others(steps, engine.stack, snapshot)
    if not options.waits_for_runs:
        preflight.refuse_disturbing_runs(engine, steps)
    _warn_of_resources(engine, snapshot, options)
    for line in why_not_scaled(engine.stack, scale):
        options.warn(line)
    remember(engine)
    release = _deployed_release(engine, options)
    change = Change(options.command, ", ".join(options.only), before=snapshot.replicas, release=release)
    with recorded(engine, report, change, steps) as changing:
        # Images come first: only when they exist, the recipes of replicas and the release of pulled images are known.
        missing = [step for step in steps if isinstance(step, EnsureImage)]
        if execute(engine, missing, report):
            engine = pins.pin_pulled(engine)
            changing.release = _deployed_release(engine, options)
            note_build(engine.state, engine.stack.release)
            steps = plan_up(engine, remove_orphans=options.remove_orphans, only=options.only)
        is_new = not pins.is_recorded(engine)
        if steps or is_new:
            pins.record_stack(engine, [step.service.image for step in missing])
        if is_new and not steps:  # Compose, or an older version, has deployed it
            _note(engine, options)
        return _roll_out(engine, report, options, snapshot, steps)


def _roll_out(
    engine: Engine, report: Report, options: UpOptions, snapshot: Snapshot, steps: tuple[Step, ...]
) -> Snapshot:
    preflight.refuse_configuration(engine, steps)
    if steps and options.waits_for_runs:
        preflight.wait_for_runs(engine, report)
    within = options.ready_within
    steps_after_build = [step for step in steps if not isinstance(step, EnsureImage)]
    with _noting_failure(engine, options), _naming_mounted_source(engine, options):
        has_changed = execute(engine, steps_after_build, report, within, options.command)
    if has_changed:
        snapshot = engine.observe()
        _note(engine, options)
    note_scale(
        engine.state,
        {service.name: service.replicas for service in engine.stack.services if service.name in options.scaled},
    )
    if steps or not _keeps_releases(engine, snapshot):
        _keep_and_prune(engine, snapshot, report, prunes=False)
    _wait_for_all(engine, snapshot, steps, options)
    if steps:
        _keep_and_prune(engine, snapshot, report, prunes=True)
    return snapshot


def _keep_and_prune(engine: Engine, snapshot: Snapshot, report: Report, *, prunes: bool) -> None:
    # A failure must not fail a deploy that is otherwise done, so it is only reported.
    try:
        engine.keep_releases(needed(engine, snapshot))
        if prunes:
            execute(engine, plan_prune(engine), report)
    except EngineError as error:
        report.detail(str(error))


@contextlib.contextmanager
def _naming_mounted_source(engine: Engine, options: UpOptions) -> Iterator[None]:
    """Report why a rollback cannot help if the code is not part of the release."""
    try:
        yield
    except EngineError as error:
        mounted = [mount for service in engine.stack.services for mount in service.mounted_source]
        if not (options.is_rollback and engine.mounts_directories and mounted):
            raise
        sources = ", ".join(dict.fromkeys(mount.source for mount in mounted))
        rest = f"a rollback does not change {sources}, which is mounted over the code of the release"
        raise EngineError(
            f"{str(error).removesuffix(f'. {FIX}')}; {rest}. Restore its files, then: invoke up"
        ) from error


@contextlib.contextmanager
def _noting_failure(engine: Engine, options: UpOptions) -> Iterator[None]:
    try:
        yield
    except TwelfthError:
        with contextlib.suppress(EngineError):  # the first error is the one to show
            _note(engine, options, has_failed=True)
        raise


def _note(engine: Engine, options: UpOptions, *, has_failed: bool = False) -> None:
    engine.state.check_lock()  # else this would replace what another command has recorded
    if release := _deployed_release(engine, options):
        note_deploy(engine.state, release, operator(), is_rollback=options.is_rollback, has_failed=has_failed)


def _deployed_release(engine: Engine, options: UpOptions) -> str:
    """Return the stack's release, "" if none of the chosen services has releases."""
    names = engine.stack.with_dependencies(options.only)
    releases = (service.release for service in engine.stack.services if service.name in names)
    return engine.stack.release if any(releases) else ""


def _wait_for_all(engine: Engine, snapshot: Snapshot, steps: Collection[Step], options: UpOptions) -> None:
    # A change may have broken dependents, so all replicas are checked. If nothing changed, it is enough to check those
    # that the engine does not report as healthy.
    names = engine.stack.with_dependencies(options.only) - engine.stack.completing
    replicas = [replica for replica in snapshot.replicas if replica.service in names]
    unsure = [replica for replica in replicas if steps or replica.health != HEALTHY]
    changed = {step.service.name for step in steps if isinstance(step, CHANGES)}
    wait_until_all_serve(engine, unsure, options.ready_within, changed)
