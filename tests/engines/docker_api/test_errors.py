"""The daemon's errors as one line."""

from __future__ import annotations

import pytest
import requests
from docker.errors import APIError

from twelfth.engines.docker_api.errors import docker_errors
from twelfth.errors import BusyError, EngineError, NoLogError, TwelfthError


@pytest.mark.parametrize(("status", "kind"), [(500, EngineError), (501, NoLogError), (409, BusyError)])
def test_status_of_an_error_decides_its_class(status: int, kind: type[TwelfthError]) -> None:
    """For instance, logs of other replicas can be shown if one is sent elsewhere."""
    answer = requests.Response()
    answer.status_code = status
    with pytest.raises(TwelfthError, match=r"^docker: why; ") as refused, docker_errors():
        raise APIError("", answer, "why")

    assert kind is type(refused.value)
