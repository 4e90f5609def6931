"""Python's faulthandler together with wasmtime's signal handler, which turns traps into errors."""

import pytest

from every_operation import in_child

TRAP = """
import faulthandler
from flashwasm.kernel_table import VECADD
{before}
rt = fw.Runtime(threads=1)
{after}
try:
    rt.kernel_calls[VECADD]((0xF0000000, 0xF0000000, 0xF0000000, 1 << 20))
except fw.KernelTrap:
    print("trapped", float(fw.vecadd([1.0], [2.0], runtime=rt)[0]))
"""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", ""),
        ("faulthandler.enable()", ""),
        ("", "faulthandler.enable(); faulthandler.disable()"),
    ],
    ids=["without it", "enabled before", "enabled after and disabled again"],
)
def test_a_trap_is_an_error(before, after):
    assert in_child(TRAP.format(before=before, after=after)).split() == ["trapped", "3.0"]
