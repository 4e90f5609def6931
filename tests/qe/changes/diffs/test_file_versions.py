"""A changed file before and after its change."""

import random

import pytest

from file_changes import change_of
from flashwasm.qe import read_diff
from flashwasm.qe.changes.diffs.file_versions import file_versions


@pytest.mark.parametrize("context", [0, 1, 3])
def test_the_versions_of_a_file_are_those_of_the_diff(tmp_path, context):
    draw = random.Random(0)  # noqa: S311 - its numbers are no secret.
    for _ in range(50):
        before = [f"line {number}\n" for number in range(20)]
        after = list(before)
        for number in range(draw.randrange(1, 5)):
            at = draw.randrange(len(after))
            after[at : at + draw.randrange(3)] = [f"new {number}\n"] * draw.randrange(3)
        before, after = "".join(before), "".join(after)
        if before == after:
            continue
        change = change_of(before, after, context)
        (tmp_path / "a.py").write_text(after)
        versions = file_versions(tmp_path / "a.py", change)
        assert (versions.before, versions.after) == (before, after)
        for new, old in versions.old_of.items():
            assert after.split("\n")[new - 1] == before.split("\n")[old - 1]
        # The diff may not be applied yet.
        (tmp_path / "a.py").write_text(before)
        if change.removed and change.added:
            assert file_versions(tmp_path / "a.py", change) == versions


def test_files_that_are_no_side_of_the_diff(tmp_path):
    file = tmp_path / "a.py"
    change = change_of("a\nb\nc\n", "a\nB\nc\n")
    assert file_versions(file, change) is None
    for text in ("a\nb", "a\nx\nc\n", ""):
        file.write_text(text)
        assert file_versions(file, change) is None
    file.write_bytes(b"a\r\nB\r\nc\r\n")
    assert file_versions(file, change).before == "a\nb\nc\n"
    # One of several equal lines is gone, or will be.
    file.write_text("a\na\nb\n")
    (change,) = read_diff("--- a/a.py\n+++ b/a.py\n@@ -2,1 +1,0 @@\n-a\n")
    assert file_versions(file, change) is None
    # A file that the change deletes.
    file.unlink()
    assert file_versions(file, change_of("a\nb\n", "")).before == "a\nb\n"
