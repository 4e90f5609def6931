"""Fixtures of the tests of benchmarks."""

import pytest

from bench import node_process


@pytest.fixture
def node_starts_quickly(monkeypatch):
    """Let V8 run code before it has optimised it: a process of Node is ready seconds earlier.

    The results are the same. Tests of how a benchmark starts Node do without this fixture.
    """
    flags = [flag for flag in node_process.FLAGS if flag != node_process.OPTIMISED]
    monkeypatch.setattr(node_process, "FLAGS", flags)
