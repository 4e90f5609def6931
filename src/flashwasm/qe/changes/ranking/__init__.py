"""Ranking: the most relevant tests first, within a budget.

`selected_tests` puts the tests that the change edits first (`touched_tests`), and sorts the others
by a sum of evidence (`evidence`): words in common (`changed_words`, `bm25`), names of changed
definitions (`changed_definitions`, `mentioned_names`), and the history of the files (`co_change`,
`line_history`). `run_budget` limits the number of cases or the time (`case_counts`).
"""
