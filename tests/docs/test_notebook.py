"""The notebook of the guide runs, and its stored outputs are correct.

Its outputs are the same on every machine. After a change, run this file as a script, with
tests/helpers on PYTHONPATH: it writes them again.
"""

import importlib
import json
import tempfile

import pytest

from checkout import ROOT

NOTEBOOK = ROOT / "docs" / "guide" / "notebook.ipynb"
# The folder that the outputs name in place of the temporary one.
FOLDER = "/tmp/example"  # noqa: S108 - nothing is written there.
SECONDS_OF_A_CELL = 300


def nbformat_module():
    """Return the module. Its import takes a second, so a run that only lists tests does without."""
    return importlib.import_module("nbformat")


def executed(folder):
    """Run all cells in a folder, and return the notebook with its new outputs."""
    nbformat, nbclient = nbformat_module(), importlib.import_module("nbclient")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    place = {"metadata": {"path": folder}}
    nbclient.NotebookClient(
        notebook, timeout=SECONDS_OF_A_CELL, record_timing=False, resources=place
    ).execute()
    notebook.metadata.language_info = {"name": "python"}
    return nbformat.from_dict(json.loads(json.dumps(notebook).replace(folder, FOLDER)))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_the_notebook_shows_what_its_cells_give(tmp_path):
    nbformat = nbformat_module()
    written = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(written)
    found = executed(str(tmp_path))
    for before, after in zip(written.cells, found.cells, strict=True):
        assert before == after, before.source


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        nbformat_module().write(executed(scratch), NOTEBOOK)
