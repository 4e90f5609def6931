"""Selection: the tests that a change may reach, and no others.

`safe_selection` splits the tests of a suite into those that the change may reach and the others.
`reached_tests` collects the former, file by file, by the rules of the other folders.
`files_of_tests` knows which tests are in which file. `unlisted_tests` finds doctests and tests of
other kinds, which run as whole files or folders.
"""
