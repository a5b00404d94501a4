"""Which containers keep an image from being removed."""

from __future__ import annotations

import pytest

from twelfth.engines.docker_api import snapshot
from twelfth.engines.docker_api.container_spec import COMPOSE

RUN, REPLICA, TASK = {f"{COMPOSE}oneoff": "True"}, {f"{COMPOSE}oneoff": "False"}, {snapshot.TASK: "x"}


@pytest.mark.parametrize("state", ["created", "running", "paused", "restarting", "exited", "dead", "removing"])
@pytest.mark.parametrize(("labels", "starts_once"), [(RUN, True), (TASK, True), (REPLICA, False), ({}, False)])
def test_container_that_may_be_started_again_keeps_its_image(
    state: str, labels: dict[str, str], *, starts_once: bool
) -> None:
    """It makes no difference which tool created it; a run that is about to start keeps its image, too."""
    has_exited = state in {"exited", "dead", "removing"}

    assert (starts_once and has_exited) is snapshot.is_over({"Labels": labels, "State": state})
