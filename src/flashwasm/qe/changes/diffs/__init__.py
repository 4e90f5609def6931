"""Diffs: what a change removes and adds.

`git_changes` asks git for a diff (`git_output`), `unified_diff` reads it, and `file_names` reads
the names in its headers. `file_versions` gives the text of a file before and after the change, and
`same_code` proves that both texts are the same program. `lines_after` converts line numbers.
"""
