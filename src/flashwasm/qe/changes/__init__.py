"""Changes: reading of diffs, and selection of the tests to run for a change.

The package answers one question: which tests may a change break? A test that the change may reach
is selected, even if that is unlikely. This is a map of the folders. The top of each folder's
``__init__.py`` says what its modules do.

* `diffs` reads what changes.
* `imports` finds the files that depend on a changed file.
* `functions` finds the functions that a change touches, and those that keep their results.
* `coverage` finds the tests that ran these functions.
* `readers` finds the files that may read a changed file as text.
* `ranking` sorts tests by relevance, and keeps to a budget.
* `selection` selects the tests that a change may reach, by all of these rules.

`known_names` has the names of functions and libraries by which the rules recognise code. A folder
imports only `known_names` and the folders above it in this list.
"""
