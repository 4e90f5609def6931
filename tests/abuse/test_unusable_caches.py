"""Unusable cache folders make the start slower, but never raise an error."""

import json
import re
import subprocess
import sys

import pytest

import search_somewhere


@pytest.mark.parametrize("case", [case.__name__ for case in search_somewhere.CASES])
def test_no_cache_is_a_slower_start_and_never_an_error(case, tmp_path):
    done = subprocess.run(
        [sys.executable, search_somewhere.__file__, case, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    if done.stdout == "unsupported":
        pytest.skip("this takes root, a disk of one's own, and a checkout that others may read")
    first, second, without = json.loads(done.stdout)
    assert len(first) == 9
    assert first == second == without
    # Where a cache is asked for by name and cannot be written, a warning says so.
    lines = [line for line in done.stderr.splitlines() if not line.startswith(" ")]
    kind = re.compile("(Runtime|UnwritableCache)Warning: cannot ")
    assert all(map(kind.search, lines)), done.stderr
    if case in {"nobody", "not_utf_8"}:
        assert done.stderr == ""
    assert (case == "not_utf_8") == any(tmp_path.rglob("*.code"))
