"""Ask a stack's door, over HTTP, whether it serves and what of."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Said:
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


def ask(address: str) -> Said:
    """Return what the door at `host:port` says of itself, within two seconds."""
    host, _, port = address.rpartition(":")
    connection = http.client.HTTPConnection(_reachable(host), int(port), timeout=2)
    try:
        connection.request("GET", "/readyz", headers={"Accept": "application/json"})
        answer = connection.getresponse()
        said = _said(answer.read(), ready=answer.status == http.HTTPStatus.OK)
        return replace(said, request=answer.getheader("X-Request-Id", ""))
    except (OSError, http.client.HTTPException):
        return Said()
    finally:
        connection.close()


def _said(body: bytes, *, ready: bool) -> Said:
    """Return what an answer says; a foreign body, such as the page of a proxy, says nothing."""
    try:
        told = json.loads(body)
    except ValueError:
        return Said(ready)
    words = {"why": "error", "revision": "revision", "since": "since"}
    known = told if isinstance(told, dict) else {}
    said = {name: str(known.get(key) or "") for name, key in words.items()}
    return Said(ready, **said, lacking=", ".join(map(str, known.get("pending") or ())))


def url(address: str) -> str:
    """Return the URL of a door at `host:port`."""
    host, _, port = address.rpartition(":")
    reachable = _reachable(host)
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104 - compared, not bound
