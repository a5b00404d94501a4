"""Ask a stack, over HTTP, whether it is ready, and wait until it is."""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from twelfth.errors import EngineError, TwelfthError
from twelfth.stack import logs
from twelfth.stack.text import printable

if TYPE_CHECKING:
    from twelfth.engines.contract import Engine
    from twelfth.model.snapshot import Snapshot

READY_WITHIN = 60.0
"""Seconds that a stack has from its last step to its first answer."""

LOGGED_WITHIN, LOGGED_LINES = 0.5, 1000
"""Seconds, and lines, within which what was just answered is in a log."""

ASK_EVERY = 0.02
"""Seconds between two questions whether it answers."""


@dataclass(frozen=True)
class Readiness:
    """What `GET /readyz` was answered: why not, where it is not ready; the data's revision, and since when it counts.

    `lacking` names the revisions that the data lacks; `request` is the id by which the service's log names this
    question. All are empty where nothing, or something else, answers.
    """

    ready: bool = False
    why: str = ""
    revision: str = ""
    since: str = ""
    lacking: str = ""
    request: str = ""


def ask(address: str) -> Readiness:
    """Return what the door at `host:port` says of itself, within two seconds."""
    host, _, port = address.rpartition(":")
    connection = http.client.HTTPConnection(_reachable(host), int(port), timeout=2)
    try:
        connection.request("GET", "/readyz", headers={"Accept": "application/json"})
        answer = connection.getresponse()
        found = _read(answer.read(), ready=answer.status == http.HTTPStatus.OK)
        return replace(found, request=answer.getheader("X-Request-Id", ""))
    except (OSError, http.client.HTTPException):
        return Readiness()
    finally:
        connection.close()


def _read(body: bytes, *, ready: bool) -> Readiness:
    """Return what an answer says; a foreign body, such as the page of a proxy, says nothing."""
    try:
        told = json.loads(body)
    except ValueError:
        return Readiness(ready)
    words = {"why": "error", "revision": "revision", "since": "since"}
    known = told if isinstance(told, dict) else {}
    words_said = {name: str(known.get(key) or "") for name, key in words.items()}
    return Readiness(ready, **words_said, lacking=", ".join(map(str, known.get("pending") or ())))


def url(address: str) -> str:
    """Return the URL of a door at `host:port`."""
    host, _, port = address.rpartition(":")
    reachable = _reachable(host)
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104 - compared, not bound


def asked(snapshot: Snapshot) -> Readiness:
    """Return what the stack that was found says of itself."""
    return ask(snapshot.address) if snapshot.address else Readiness()


def unready(found: Readiness) -> str:
    """Return why what serves is not ready, as the cause of a step; an empty string where it does not say so."""
    if found.lacking:
        return f"the data lacks revision {found.lacking}"
    return "" if found.ready or not found.why else f"what serves is not ready ({found.why})"


def wait_until_ready(engine: Engine) -> str:
    """Return the URL of the stack when it is ready; raises `EngineError` with the reason where it is not in time."""
    deadline = time.monotonic() + READY_WITHIN
    look_again = 0.0
    snapshot = engine.observe()
    while not (found := asked(snapshot)).ready:
        now = time.monotonic()
        if now > look_again:
            snapshot, look_again = engine.observe(), now + 1
            refuse_dead(engine, snapshot)
        if now > deadline:
            raise EngineError(_why_not_ready(snapshot, reason(engine, snapshot, found)))
        time.sleep(ASK_EVERY)
    return url(snapshot.address)


def refuse_dead(engine: Engine, snapshot: Snapshot) -> None:
    """Raise `EngineError` with a dead replica's last words."""
    for replica in snapshot.replicas:
        if not replica.is_running:
            words = b"".join(engine.logs(replica, follow=False)).decode(errors="replace").strip().splitlines()
            last = f": {words[-1]}" if words else ""
            raise EngineError(f"{replica.name} is {replica.state}{last}; see: invoke logs {replica.service}")


def reason(engine: Engine, snapshot: Snapshot, found: Readiness) -> str:
    """Return why what serves is not ready; its log tells the operator more of it than visitors may know."""
    deadline = time.monotonic() + LOGGED_WITHIN
    while found.why and time.monotonic() < deadline:
        with contextlib.suppress(TwelfthError):  # a log that this engine cannot read
            for replica in snapshot.replicas:
                lines = logs.whole_lines(engine.logs(replica, follow=False, last=LOGGED_LINES))
                if error := logs.logged_error(lines, found.request):
                    return printable(error)
        time.sleep(ASK_EVERY)
    return found.why


def _why_not_ready(snapshot: Snapshot, why: str) -> str:
    states = why or ", ".join(f"{one.name} {one.health or one.state}" for one in snapshot.replicas)
    return f"the stack is not ready after {READY_WITHIN:g} s ({states}); see: invoke logs"
