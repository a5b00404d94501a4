"""Text or JSON."""

from __future__ import annotations

import pytest

from service.negotiation import prefers_json


@pytest.mark.parametrize(
    "accept",
    [
        "application/json",
        "application/json, text/plain, */*",
        "application/json, */*;q=0.5",
        "text/plain;q=0.5, application/json",
        "Application/JSON; charset=utf-8",
        "application/*",
    ],
)
def test_json_is_for_who_prefers_it(accept: str) -> None:
    """JSON wins by quality, then by being named more closely, then by being named first."""

    assert prefers_json(accept)


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "text/html,application/xhtml+xml,*/*;q=0.8",
        "text/plain, application/json",
        "application/json;q=0",
        "application/json;q=x",
        "*/*, application/json;q=0.1",
        ",;,q=",
        "image/png",
    ],
)
def test_text_is_for_everybody_else(accept: str) -> None:
    """Browsers, curl and what is garbled get the sentence."""

    assert not prefers_json(accept)
