"""Functions that mention a start of another program, found in the syntax tree."""

import ast

import pytest

from flashwasm.qe.changes.functions.program_starts import ProgramStarts, program_starts
from flashwasm.qe.changes.known_names import PROCESS_NAMES

STARTS = {
    "anyio": "import anyio\nasync def f(): await anyio.run_process('x')",
    "dask": "from dask.distributed import LocalCluster\ndef f():\n    LocalCluster()",
    "module under another name": "import torch.multiprocessing as mp\ndef f():\n    mp.spawn(g)",
    "notebook": "import nbclient\ndef f():\n    nbclient.execute(g)",
    "program in place of this one": "import os\ndef f():\n    os.execv('x', [])",
    "trio": "from trio import run_process\nasync def f():\n    await run_process('x')",
}
NO_STARTS = {
    "import": "import nbclient\ndef f():\n    return 1",
    "number of processors": "import multiprocessing\ndef f():\n    multiprocessing.cpu_count()",
}


@pytest.mark.parametrize("name", [*STARTS, *NO_STARTS])
def test_functions_that_start_programs(name):
    tree = ast.parse((STARTS | NO_STARTS)[name])
    found = program_starts(tree, PROCESS_NAMES, ProgramStarts(), of_tests=True)
    assert bool(found.functions or found.anywhere) == (name in STARTS)
