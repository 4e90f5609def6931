"""Functions: which of them a change touches, and which keep their results.

`function_lines` knows which lines belong to which function of a file, and `touched_functions` finds
the functions that a change touches. A function may keep its result for a later test, which does not
run it again: `kept_state` detects such functions, and `project_functions` asks it about those of
all files. It compares the `stored_places` of a `function_body` with its `conditions`, by the names
of their `places`. `confined_functions` finds those whose variables end with a call, and
`import_calls` the modules that may call functions while they are imported.
"""
