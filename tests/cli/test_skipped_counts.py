"""Skipped files: stderr names the first few of them, and counts the others."""

from pathlib import Path

from flashwasm.cli.output import note_skipped
from flashwasm.qe.suites.collection import Skipped


def test_a_large_count_has_a_comma(capsys):
    note_skipped([Skipped(Path(f"test_{i}.py"), "not Python") for i in range(1205)])
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "skipped test_0.py: not Python"
    assert lines[-1] == "skipped 1,200 more (--json names them)"
