"""`flashwasm mcp` that a person starts in a terminal, and one that an agent starts."""

import json
import os
import pty
import signal
import subprocess
import sys

import pytest

pytest.importorskip("mcp")

COMMAND = [sys.executable, "-m", "flashwasm", "mcp"]


@pytest.fixture
def terminal():
    """The two ends of a terminal."""
    ends = pty.openpty()
    yield ends
    for end in ends:
        os.close(end)


def test_a_terminal_shows_what_the_server_waits_for(terminal):
    # If this process ignored SIGINT, the server would ignore it too.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with subprocess.Popen(
            COMMAND, stdin=terminal[1], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as server:
            said = server.stderr.readline()
            # After an answer, the server waits for the next line of the terminal.
            os.write(terminal[0], b'{"jsonrpc": "2.0", "id": 7, "method": "ping"}\n')
            answer = json.loads(server.stdout.readline())
            server.send_signal(signal.SIGINT)
            stdout, rest = server.communicate(timeout=300)
    finally:
        signal.signal(signal.SIGINT, before)
    assert "waits for the requests of a coding agent on stdin" in said
    assert answer["id"] == 7
    assert (server.returncode, stdout, rest) == (130, "", "interrupted\n")


def test_an_agent_gets_no_such_line():
    done = subprocess.run(
        COMMAND, input="", capture_output=True, text=True, timeout=300, check=True
    )
    assert (done.stdout, done.stderr) == ("", "")
