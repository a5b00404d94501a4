"""Read `notify`, under `x-twelfth` of a file or of a job: where the ends of runs are reported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twelfth.compose.schema import matching, number, only, texts
from twelfth.model.job import Notify

if TYPE_CHECKING:
    from twelfth.compose.schema import Table, Value

_NOTIFY: Table = {
    "on": only("failure", "always"),
    "url": matching("https?://.+", "write a URL that starts with https://"),
    "command": texts,
    "output": number,
}


def notify(at: Value) -> Notify:
    """Read where the end of a run is reported."""
    if not isinstance(at.value, dict) or not {"url", "command"} & at.value.keys():
        at.refuse("", "has no url and no command", "write {on: failure, url: https://…}")
        return Notify()
    # Compose reads a bare `on` as text, and other YAML parsers as true.
    value = {"on" if key is True else key: below for key, below in at.value.items()}
    return Notify(**type(at)(at.path, value, at.model, at.refusals).read(_NOTIFY))
