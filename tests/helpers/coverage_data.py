"""Coverage to test with: a small library, and indexes of lines that a test chooses."""

import numpy as np

from flashwasm.qe import CoverageIndex
from flashwasm.qe.coverage.coverage_database import CoverageData

LIBRARY = """\
def small(x):
    return x < 10

def sign(x):
    '''Say which.'''
    if x < 0:
        return -1
    for _ in range(2):
        x += 1
    return 1

class Box:
    def fill(self, things):
        try:
            self.things = list(things)
        except TypeError:
            raise ValueError(
                "nothing"
            )
"""


def index_of(rows, files=("lib.py", "other.py")):
    """Return an index of {context: {file: lines}}."""
    lines = {
        (files.index(file), i): np.array(sorted(numbers))
        for i, row in enumerate(rows.values())
        for file, numbers in row.items()
    }
    return CoverageIndex(CoverageData(list(files), list(rows), lines))
