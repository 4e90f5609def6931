"""Imports: a change reaches the tests whose files depend on the changed file.

`import_graph` knows which file imports which. `project_root` finds the folder of the project and
`project_files` its files. `module_imports` reads the imports of one file from its syntax tree, and
`modules_loaded_first` finds the modules that Python or pytest loads before any test. Nothing of the
project is executed.
"""
