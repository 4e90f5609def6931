"""A command that is interrupted while it imports modules ends with one line and status 130."""

import subprocess
import sys

import pytest

# Send SIGINT to this process when it is about to import a module, and run the program.
CODE = """
import os, runpy, signal, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == interrupted:
            os.kill(os.getpid(), signal.SIGINT)

interrupted = sys.argv.pop(1)
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Interrupting())
runpy.run_module("flashwasm", run_name="__main__")
"""


@pytest.mark.parametrize(
    "module",
    ["flashwasm.cli", "click", "flashwasm.cli.settings", "flashwasm.cli.similar", "numpy"],
)
def test_an_interrupt_during_an_import_is_one_line(module, tmp_path):
    command = [sys.executable, "-c", CODE, module, "similar", ".", "-q", "an edge"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")
