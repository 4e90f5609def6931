"""Names by which the safe selection recognises code that depends on a file without importing it.

The safe selection reads sources and runs nothing. It follows imports, and it knows the lines that
coverage.py recorded. Code that depends on a file in another way is recognised by the names that it
mentions. Each table here has the names for one way, and the comment above it says which rule uses
them. Each name in a table selects more tests, so a name that is missing is worse than one too many.
"""

from __future__ import annotations

__all__ = [
    "CACHING_CALLS",
    "CACHING_WORDS",
    "COLLECTING_HOOKS",
    "EXAMPLE_RUNNERS",
    "FUNCTION_EXAMINERS",
    "HARMLESS_ATTRIBUTES",
    "HOOKS_FOR_ALL_TESTS",
    "IMPORTERS_BY_STRING",
    "LAYOUT_CHECKERS",
    "LINE_LIBRARIES",
    "MODULE_RUNNERS",
    "NAMESPACES",
    "PROCESS_NAMES",
    "SOURCE_LIBRARIES",
    "UNPICKLERS",
    "UNRECORDED_NAMES",
]

# Functions that import the module that a string names. A literal string is followed. A file that
# calls one with another string may depend on each file of the project (`module_imports`).
IMPORTERS_BY_STRING = {
    "import_module",
    "import_string",
    "importorskip",
    "resolve_name",
    "__import__",
}
# Names with which a file runs modules that it does not import by name. Such a file may depend on
# each file of the project (`module_imports`).
MODULE_RUNNERS = {
    *("exec", "exec_module", "load_module", "run_module", "run_path", "runpy"),
    *("SourceFileLoader", "spec_from_file_location", "module_from_spec"),
    *("entry_points", "iter_entry_points", "iter_modules", "walk_packages"),
    *("load_entry_point", "load_setuptools_entrypoints", "get_entry_info", "get_entry_map"),
    # Libraries that import the modules that an entry point, a stub or a data file names.
    *("attach_stub", "lazy_loader", "stevedore"),
    *("Unpickler", "dictConfig", "fileConfig", "jsonpickle", "shelve", "unsafe_load"),
    # Functions and settings of frameworks that import the modules of a package by convention.
    *("autodiscover", "autodiscover_modules", "autodiscover_tasks", "INSTALLED_APPS"),
}
# Functions that import the modules that a file of pickled objects names. A Python file that calls
# one may depend on each file of the project (`module_imports`).
UNPICKLERS = {"pickle.load", "cloudpickle.load", "dill.load", "joblib.load"}
# Names with which a file starts other programs, or threads that coverage.py does not follow. A test
# that runs such a function always runs (`program_starts`, `layout_readers`).
PROCESS_NAMES = {
    *("Popen", "ProcessPoolExecutor", "multiprocessing", "pexpect", "popen", "subprocess"),
    *("create_subprocess_exec", "create_subprocess_shell", "subprocess_exec", "subprocess_shell"),
    *("fork", "forkpty", "posix_spawn", "posix_spawnp", "spawnl", "spawnle", "spawnlp"),
    *("spawnlpe", "spawnv", "spawnve", "spawnvp", "spawnvpe", "startfile"),
    *("execl", "execle", "execlp", "execlpe", "execv", "execve", "execvp", "execvpe"),
    # Libraries that do so, and functions of trio, anyio and dask.
    *("billiard", "joblib", "loky", "mpire", "multiprocess", "pathos", "plumbum", "ptyprocess"),
    *("delegator", "execnet", "mpi4py", "pebble", "rpyc", "sarge"),
    *("LocalCluster", "open_process", "run_process", "to_process"),
    # Libraries that run notebooks.
    *("jupyter_client", "nbclient", "nbconvert", "papermill", "testbook"),
    *("InterpreterPoolExecutor", "settrace", "start_new_thread"),
}
# Functions of these modules that start no program, and their constants and exceptions. A mention of
# the module does not count if it only calls such a function (`program_starts`).
HARMLESS_ATTRIBUTES = {
    "joblib": {"__version__", "cpu_count", "dump", "effective_n_jobs", "hash", "load"},
    "multiprocessing": {
        *("AuthenticationError", "ProcessError", "TimeoutError", "cpu_count", "freeze_support"),
        *("get_all_start_methods", "get_start_method", "set_start_method"),
    },
    "subprocess": {
        *("CalledProcessError", "CompletedProcess", "DEVNULL", "PIPE", "STDOUT"),
        *("SubprocessError", "TimeoutExpired", "list2cmdline"),
    },
}
# Names with which a function may find an imported module by a computed name (`program_starts`).
NAMESPACES = {"__dict__", "eval", "exec", "globals", "locals", "modules", "vars"}
# Names with which a test file runs lines that coverage.py does not record: those of other programs,
# which may import any module, and those that run while the recording is disabled. The tests of such
# a file always run, and it may depend on each file of the project (`module_imports`).
UNRECORDED_NAMES = {
    *PROCESS_NAMES,
    *("executable", "pytester", "runpytest", "testdir", "setprofile"),
    # Fixtures and marks of plugins that start programs.
    *("forked", "script_runner", "xprocess"),
}
# Names with which a test examines a function without running it, or the numbers of its lines. Its
# file is selected by imports, whatever it ran (`module_imports`).
FUNCTION_EXAMINERS = {
    *("__code__", "findsource", "getcomments", "getsource", "getsourcelines", "getsourcefile"),
    *("co_firstlineno", "f_lineno", "lineno", "linecache", "tb_lineno"),
}
# Libraries that read the sources of whole packages. A test file that imports one may read each file
# of the project (`source_readers`).
SOURCE_LIBRARIES = (
    *("astroid", "flake8", "griffe", "jedi", "libcst", "mypy", "pycodestyle", "pydocstyle"),
    *("pyflakes", "pylint", "vulture"),
)
# Libraries that show or examine the text of code or the numbers of its lines. A file that imports
# one may notice a change of comments and layout (`layout_readers`).
LINE_LIBRARIES = (
    *("IPython", "approvaltests", "astroid", "better_exceptions", "black", "cloudpickle"),
    *("coverage", "devtools", "dill", "executing", "flake8", "griffe", "icecream"),
    *("inline_snapshot", "isort", "jedi", "kfp", "libcst", "line_profiler", "loguru"),
    *("memory_profiler", "mypy", "parso", "pdoc", "prefect", "pycodestyle", "pyflakes"),
    *("pylint", "pyright", "pysnooper", "ruff", "sentry_sdk", "snoop", "sphinx"),
    *("stackprinter", "tensorflow", "triton", "typeguard", "varname"),
)
# Options of pytest by which a plugin checks the text of each file. Each change of comments and
# layout then counts as a change of code (`layout_changes`).
LAYOUT_CHECKERS = (
    *("black", "flake8", "isort", "mypy", "pep8", "pycodestyle", "pydocstyle", "pylama"),
    *("pylint", "ruff"),
)
# Words, as regular expressions, of a test or a plugin that runs the examples in documentation. It
# may read each documentation file (`documentation_files`).
EXAMPLE_RUNNERS = (
    *("codeblock", "doctest", "find_examples", "markdown", "mktestdocs"),
    *(r"\brst\b", "sybil"),
)
# Words in the names of decorators that return the first result again. coverage.py records only the
# first caller of such a function, although later callers depend on its lines (`kept_state`).
CACHING_WORDS = ("cache", "lazy", "memo", "once", "reify", "singleton")
# Functions of libraries that return a function which keeps the results of the one that is passed.
# The same is true of it. Functions of the project need no names: `keeps_state` detects them.
CACHING_CALLS = {
    *("alru_cache", "cache", "cached", "cached_property", "cachedmethod", "defaultdict"),
    *("lfu_cache", "lru_cache", "memoize", "reify", "ttl_cache"),
}
# Ends of the names of pytest's hooks, as regular expressions, that pytest calls once for all tests.
# A ``conftest.py`` with one may affect tests of other folders (`reached_tests`).
HOOKS_FOR_ALL_TESTS = (
    *("addhooks", "addoption", "cmdline_main", r"collection\w*", "configure", "deselected"),
    *("itemcollected", "load_initial_conftests", "plugin_registered", "runtestloop"),
    *("sessionstart", "unconfigure"),
)
# Ends of the names of pytest's hooks with which a ``conftest.py`` collects tests of its own kind.
# The tests of its folder are not all known (`unlisted_tests`).
COLLECTING_HOOKS = (
    "collect_directory",
    "collect_file",
    "pycollect_makeitem",
    "pycollect_makemodule",
)
