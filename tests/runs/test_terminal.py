"""A run on a real pseudo-terminal: keys, sizes, and the operator's own terminal afterwards."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.runs.client import COLUMNS, ROWS, Terminal, open_terminal, record, run

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

    from tests.conftest import Project

pytestmark = pytest.mark.sampled_on("docker")

PROMPT = ">>> "
CTRL_C, CTRL_D, ENTER, UP = "\x03", "\x04", "\r", "\x1b[A"


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    """Return a terminal for the test."""
    with open_terminal() as made:
        yield made


def by_itself(_project: Project, terminal: Terminal, _client: subprocess.Popen[bytes]) -> None:
    """Let the run end with its own exit code."""
    terminal.type(f"exit 3{ENTER}")


def by_ctrl_c(_project: Project, terminal: Terminal, _client: subprocess.Popen[bytes]) -> None:
    """Interrupt the command of the run."""
    terminal.type(f"exec sleep 60{ENTER}")
    terminal.until("exec sleep 60\r\n")
    terminal.type(CTRL_C)


def by_kill(_project: Project, terminal: Terminal, _client: subprocess.Popen[bytes]) -> None:
    """Kill the run's process with KILL."""
    terminal.type(f"kill -9 $${ENTER}")


def by_stop(project: Project, _terminal: Terminal, _client: subprocess.Popen[bytes]) -> None:
    """Stop the run from another process."""
    assert 0 == project.invoke("stop", record(project)["id"]).returncode


def by_term(_project: Project, _terminal: Terminal, client: subprocess.Popen[bytes]) -> None:
    """Send TERM to the client, which passes it on."""
    client.send_signal(signal.SIGTERM)


@pytest.mark.parametrize(
    ("end", "code"), [(by_itself, 3), (by_ctrl_c, 130), (by_kill, 137), (by_stop, 143), (by_term, 143)]
)
def test_terminal_is_restored_however_the_run_ends(
    serving: Project,
    terminal: Terminal,
    end: Callable[[Project, Terminal, subprocess.Popen[bytes]], None],
    code: int,
) -> None:
    """It is raw during the run, and has its previous settings afterwards."""
    before = terminal.settings
    client = terminal.start(serving, "run", "--", "sh", "-c", 'echo ready; read -r line; eval "$line"')
    terminal.until("ready")
    assert before != terminal.settings
    end(serving, terminal, client)

    assert code == client.wait(30)
    assert before == terminal.settings


@pytest.mark.thorough
def test_error_of_a_run_on_a_terminal_leaves_the_next_line_at_its_left(serving: Project, terminal: Terminal) -> None:
    """The terminal is raw then, so a line ends with a carriage return, too."""
    client = terminal.start(serving, "run", "--", "no-such-program")

    assert 127 == client.wait(30)
    said = terminal.until("\n")
    assert "no-such-program" in said
    assert said.endswith("\r\n")


@pytest.mark.thorough
def test_terminal_of_a_run_has_the_size_of_the_operators(serving: Project, terminal: Terminal) -> None:
    """And the exit code is the shell's."""
    client = terminal.start(serving, "run", "--env", f"PS1={PROMPT}", "--", "sh")
    terminal.until(PROMPT)
    terminal.type(f"stty size; exit 9{ENTER}")

    assert terminal.until(f"{ROWS} {COLUMNS}\r\n").endswith(f"{ROWS} {COLUMNS}\r\n")
    assert 9 == client.wait(30)


def test_terminal_of_a_run_follows_the_size_of_the_operators(serving: Project, terminal: Terminal) -> None:
    """The run gets SIGWINCH, each time."""
    waiting = "trap 'stty size' WINCH; echo ready; while :; do sleep 0.1; done"
    client = terminal.start(serving, "run", "--", "sh", "-c", waiting)
    terminal.until("ready")
    for rows, columns in ((40, 100), (20, 60)):
        terminal.resize(rows, columns)

        assert terminal.until(f"{rows} {columns}\r\n").endswith(f"{rows} {columns}\r\n")
    terminal.type(CTRL_C)
    assert 130 == client.wait(30)


@pytest.mark.thorough
def test_shell_on_a_terminal_is_interactive(serving: Project, terminal: Terminal) -> None:
    """It echoes, computes, and ends with its input; output and error are one."""
    client = terminal.start(serving, "run", "--tty", "--env", f"PS1={PROMPT}", "--", "sh")
    terminal.until(PROMPT)
    terminal.type(f"echo $((6 * 7)) >&2; test -t 0 && test -t 2 && echo 'on a' terminal{ENTER}")

    assert terminal.until("42\r\non a terminal\r\n").endswith("42\r\non a terminal\r\n")
    terminal.until(PROMPT)
    terminal.type(CTRL_D)
    assert 0 == client.wait(30)


@pytest.mark.thorough
def test_no_tty_gives_pipes_even_on_a_terminal(serving: Project, terminal: Terminal) -> None:
    """The run has no terminal, and the settings of the operator's stay unchanged."""
    before = terminal.settings
    client = terminal.start(serving, "run", "--no-tty", "--", "sh", "-c", "test -t 0 || test -t 1 || echo none; cat")
    terminal.until("none")

    assert before == terminal.settings
    terminal.type(CTRL_D)
    assert 0 == client.wait(30)


def test_tty_without_a_terminal_is_refused(serving: Project) -> None:
    """One line and exit code 2."""
    done = run(serving, "--tty", "--", "true")

    assert (2, b"") == (done.returncode, done.stdout)
    assert b"standard input or output is not a terminal" in done.stderr
    assert 1 == done.stderr.count(b"\n")


def test_console_is_a_prompt_on_a_terminal(serving: Project, terminal: Terminal) -> None:
    """Echo, the answer, Ctrl-D."""
    client = terminal.start(serving, "console")
    assert "counter, redis" in terminal.until(PROMPT)
    terminal.type(f"6 * 7{ENTER}")

    assert "6 * 7\r\n42" in terminal.until("42").replace("\x1b[?2004l\r", "")
    terminal.until(PROMPT)
    terminal.type(CTRL_D)
    assert 0 == client.wait(30)


def test_ctrl_c_in_the_console_interrupts_the_statement_only(serving: Project, terminal: Terminal) -> None:
    """It causes a KeyboardInterrupt, then the prompt is printed again."""
    client = terminal.start(serving, "console")
    terminal.until(PROMPT)
    waiting = "[time.sleep(0.1) for _ in range(600)]"  # a signal may come just before a sleep, which then continues
    terminal.type(f"import time; print('star' + 'ted', flush=True); {waiting}{ENTER}")
    terminal.until("started")
    terminal.type(CTRL_C)

    assert "KeyboardInterrupt" in terminal.until(PROMPT)
    terminal.type(f"6 * 7{ENTER}")
    assert "42" in terminal.until(PROMPT)
    terminal.type(CTRL_D)
    assert 0 == client.wait(30)


@pytest.mark.thorough
def test_arrow_up_in_the_console_recalls_the_line_before(serving: Project, terminal: Terminal) -> None:
    """It can be edited: the cursor is moved left, a digit is added."""
    client = terminal.start(serving, "console")
    terminal.until(PROMPT)
    terminal.type(f"print(1000 + 7){ENTER}")
    terminal.until("1007")
    terminal.until(PROMPT)
    terminal.type(f"{UP}\x1b[D1{ENTER}")

    assert "1071" in terminal.until("1071")
    terminal.until(PROMPT)
    terminal.type(CTRL_D)
    assert 0 == client.wait(30)
