"""Coverage: a change inside functions that tests ran reaches only these tests.

`coverage_choice` finds the coverage database. `recorded_sources` checks that it matches the state
before the change. `coverage_evidence` finds the tests that ran a function or may use its kept
results. `measured_change` finds the tests that ran the functions of one change, and the reasons why
it may reach more tests. `starting_tests` finds the tests that may depend on another program.
`uncovered_lines` finds the changed lines that no test ran.
"""
