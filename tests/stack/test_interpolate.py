"""The `${...}` language: what an expression becomes, and which are refused."""

from __future__ import annotations

import pytest

from stack.errors import MisuseError
from stack.interpolate import TemplateError, expand, expand_all, silent


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$A ${A} $$A $${A}", "a a $A ${A}"),
        ("$1 $ $-", "$1 $ $-"),
        ("${A:-b}${A-b}${EMPTY:-b}${EMPTY-b}${UNSET:-b}${UNSET-b}", "aabbb"),
        ("${A:+b}${A+b}${EMPTY:+b}${EMPTY+b}${UNSET:+b}${UNSET+b}", "bbb"),
        ("${A:?why}${A?why}${EMPTY?why}", "aa"),
        ("${UNSET:-${UNSET-${A}}}.${UNSET:-$A$$}", "a.a$"),
        ("${UNSET:-a:-b?c+d}", "a:-b?c+d"),
        ("${UNSET:-{}}", "{}"),
        ('${UNSET:-{"k": {"l": 1}}} $A', '{"k": {"l": 1}} a'),
        ("${UNSET:-x} and ${UNSET:-y}", "x and y"),
        ("${_a1}", "under"),
    ],
)
def test_expression_is_expanded(text: str, expected: str) -> None:
    """Each form of an expression has the value that Compose gives it."""
    assert expected == expand(text, {"A": "a", "EMPTY": "", "_a1": "under"})


@pytest.mark.parametrize(
    "text", ["${", "${}", "${1}", "${A", "${A:b}", "${A!}", "${A:-${}}", "${UNSET:-{}} ${A}", "${A:-\n}"]
)
def test_broken_expression_is_refused_by_its_key(text: str) -> None:
    """What Compose calls an invalid interpolation format is refused, also where its value would not be used."""
    expected = "x.k[1] holds a ${ that starts no valid expression; write $$ where you mean a dollar sign"
    with pytest.raises(MisuseError) as refusal:
        expand_all({"x": {"k": ["", text]}}, "", {"A": "a"}, silent)

    assert f"docker-compose.yml: {expected}" == str(refusal.value)


@pytest.mark.parametrize(
    ("text", "why"),
    [("${UNSET?}", ""), ("${UNSET?set $A}", ": set a"), ("${EMPTY:?no}", ": no"), ("${A:-${UNSET?no}}", ": no")],
)
def test_required_variable_is_named(text: str, why: str) -> None:
    """A variable that is required and missing is refused with its reason, in an unused word too (Compose 2.40)."""
    name = "EMPTY" if "EMPTY" in text else "UNSET"
    expected = f"requires the variable {name}{why}; set it in the environment or in .env"
    with pytest.raises(TemplateError) as refusal:
        expand(text, {"A": "a", "EMPTY": ""})

    assert expected == str(refusal.value)


def test_keys_and_what_is_no_text_are_left_alone() -> None:
    """Only the values that are text are expanded."""
    expected = {"$A": ["a", 1, None, True]}

    assert expected == expand_all({"$A": ["$A", 1, None, True]}, "", {"A": "a"}, silent)
