"""Changes: reading of diffs, and selection of the tests to run for a change.

The package answers one question: which tests may a change break? A test that the change may reach
is selected, even if that is unlikely. This is a map of the package.

**The change.** `git_changes` asks git for a diff (`git_output`), `unified_diff` reads it, and
`file_names` reads the names in its headers. `file_versions` gives the text of a file before and
after the change, and `lines_after` converts the numbers of lines.

**The project.** `import_graph` knows which file imports which (`project_files`, `module_imports`,
`modules_loaded_first`). `function_lines` knows which lines belong to which function of a file. Both
read syntax trees and run nothing.

**The selection.** `safe_selection` selects the tests that `reached_tests` collects by these rules:

* *Imports.* A change reaches the tests whose files depend on the changed file (`import_graph`).
* *Lines.* With coverage, a change inside functions that tests run reaches only these tests
  (`touched_functions`, `coverage_evidence`). `coverage_choice` finds the coverage database,
  `recorded_sources` checks that it matches the state before the change, and `uncovered_lines` names
  the changed lines that no test ran.
* *Kept results.* A function may keep its result for a later test, which does not run it again
  (`kept_state`, `confined_functions`, `import_calls`).
* *Text.* A test may read a file without importing it (`source_readers`, `documentation_files`).
* *Layout.* If only comments and layout change (`layout_changes`, `same_code`), the change reaches
  only tests that may notice them (`layout_readers`).
* *Unlisted tests.* Doctests and tests of other kinds run as whole files or folders
  (`unlisted_tests`).

`known_names` has the names of functions and libraries by which these rules recognise code.

**The order.** `selected_tests` puts the tests that the change edits first (`touched_tests`), and
sorts the others by a sum of evidence (`evidence`): words in common (`changed_words`, `bm25`), names
of changed definitions (`changed_definitions`, `mentioned_names`), and the history of the files
(`co_change`, `line_history`). `run_budget` limits the number of cases or the time (`case_counts`).
"""
