"""How the text of `.env` is read."""

from __future__ import annotations

import pytest

from stack.dotenv import variables
from stack.errors import MisuseError


@pytest.mark.parametrize(
    ("dotenv", "expected"),
    [
        ("A=1\nB = two words \n\n# no\nC: 3\r\n", {"A": "1", "B": "two words", "C": "3"}),
        ("export A=1\n  export\tB=2", {"A": "1", "B": "2"}),
        ("A=x # why\nB=x#y\nC= #z\nD='q' # why", {"A": "x", "B": "x#y", "C": "#z", "D": "q"}),
        ("A='$X\\n\\'' \nB=\"\\n\\t\\\"\\\\ \\$X \\q\"", {"A": "$X\\n'", "B": '\n\t"\\ $X \\q'}),
        ('A="one\ntwo"\nB=2', {"A": "one\ntwo", "B": "2"}),
        ('A="x"B="y" C', {"A": "x", "B": "y"}),
        ("A=1\nB=${A}$GIVEN\nC=${NO:-${B}}\nGIVEN=own\nD=$GIVEN", {"A": "1", "B": "1g", "C": "1g", "D": "g"}),
        ('A="\\0101\\012\\0\\0777"', {"A": "A\\12\\\\777"}),
        ("\ufeffA=1\nGIVEN\nOTHER\nB", {"A": "1"}),
        ("A.b-c[0]=1\n1=2\nA=", {"A.b-c[0]": "1", "1": "2", "A": ""}),
    ],
)
def test_dotenv_is_read_as_compose_reads_it(dotenv: str, expected: dict[str, str]) -> None:
    """Comments, quotes, escapes, `export` and expressions are Compose's, and the environment wins."""
    assert expected | {"GIVEN": "g"} == variables(dotenv, {"GIVEN": "g"})


@pytest.mark.parametrize(
    ("dotenv", "expected"),
    [
        ("A=1\nB C=2", ".env: line 2 names 'B C', which holds a space; write NAME=value"),
        ("A!=1", ".env: line 1 has a character that no name may have; write NAME=value"),
        ("\nA='1\nB=2", ".env: line 2 has a quote that is never closed; close it"),
        (
            "A=1\n\nB=${",
            ".env: line 3 B holds a ${ that starts no valid expression; write $$ where you mean a dollar sign",
        ),
        ("A=${B?no}", ".env: line 1 A requires the variable B: no; set it in the environment or in .env"),
    ],
)
def test_broken_dotenv_is_refused_with_its_line(dotenv: str, expected: str) -> None:
    """A `.env` that Compose refuses is refused with the line."""
    with pytest.raises(MisuseError) as refusal:
        variables(dotenv, {})

    assert expected == str(refusal.value)


def test_dotenv_tells_of_unset_variables() -> None:
    """A variable that `.env` uses and nobody sets is warned of."""
    expected = ['The "B" variable is not set. Defaulting to a blank string.']
    told: list[str] = []
    variables("A=$B", {}, told.append)

    assert expected == told
