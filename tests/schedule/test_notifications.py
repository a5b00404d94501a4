"""The scheduler reports fires that did not start, and repeats notifications."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tests.receiver import Receiver
from tests.schedule.test_scheduler import EVERY_MINUTE, Site, job
from twelfth.model.job import Notify

if TYPE_CHECKING:
    from tests.memory_engine import Memory


class NotifiedSite(Site):
    """A site whose job has a receiver."""

    def __init__(self) -> None:
        """Begin now, since the ages of records are those of this machine's clock."""
        self.receiver = Receiver()
        super().__init__(replace(job("nightly", EVERY_MINUTE), notify=Notify(url=self.receiver.url)))
        self.now = datetime.now(UTC)

    def connect(self) -> Memory:
        """Return the engine, which knows the job."""
        engine = super().connect()
        return engine.with_stack(replace(engine.stack, jobs=self.jobs))


def test_fire_that_did_not_start_is_reported_until_it_arrives() -> None:
    """With the reason; not while the receiver is down, and once when it is up."""
    site = NotifiedSite()
    scheduler = site.scheduler()
    site.tick(scheduler, after=timedelta())
    site.tick(scheduler)
    site.exit_all("no worker is running")
    site.tick(scheduler)
    assert [] == site.receiver.keys
    with site.receiver.listening("ok"):
        for _ in range(3):
            site.tick(scheduler)

    first = site.starts()[0]
    assert [first] == [values["id"] for values in site.receiver.received if values["id"] == first]
    values = site.receiver.received[0]
    assert ("nightly", "schedule", "not started", "no worker is running") == tuple(
        values[name] for name in ("job", "trigger", "state", "error")
    )
