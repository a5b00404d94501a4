"""What the daemon refuses, as one line."""

from __future__ import annotations

import pytest
import requests
from docker.errors import APIError

from twelfth.engines.docker_api.errors import docker_errors
from twelfth.errors import BusyError, EngineError, NoLogError, TwelfthError


@pytest.mark.parametrize(("status", "kind"), [(500, EngineError), (501, NoLogError), (409, BusyError)])
def test_refusal_says_what_kind_it_is(status: int, kind: type[TwelfthError]) -> None:
    """Such as that a log is sent elsewhere: then the others can be shown."""
    answer = requests.Response()
    answer.status_code = status
    with pytest.raises(TwelfthError, match=r"^docker: why; ") as refused, docker_errors():
        raise APIError("", answer, "why")

    assert kind is type(refused.value)
