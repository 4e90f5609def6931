"""The tests that a change may reach: which files any test may depend on."""

import pytest

from flashwasm.qe import ChangedFile
from flashwasm.qe.changes.selection.reached_tests import file_of_any_test


@pytest.mark.parametrize(
    ("path", "anything"),
    [
        ("lib.py", None),
        ("a/conftest.py", None),
        ("setup.py", "setup.py"),
        ("data.json", "data.json"),
    ],
)
def test_changed_files_that_any_test_may_depend_on(path, anything):
    assert file_of_any_test(ChangedFile(path, path)) == anything
    # A file that is renamed counts by both names.
    assert file_of_any_test(ChangedFile("lib.py", path)) == anything
