"""Functions: which of them a change touches, keep their results, or start other programs.

`function_lines` knows which lines belong to which function of a file, and `touched_functions` finds
the functions that a change touches. A function may keep its result for a later test, which does not
run it again: `kept_state` detects such functions, and `project_functions` asks it about those of
all files. It compares the `stored_places` of a `function_body` with its `conditions`, by the names
of their `places`. `confined_functions` finds those whose variables end with a call, and
`import_calls` the modules that may call functions while they are imported.

`program_starts` finds the functions of a file that may start another program, and `starting_files`
all files with such functions. Both rely on `surroundings`, which knows the functions around a place
in a file. `local_names` knows the variables of a function.
"""
