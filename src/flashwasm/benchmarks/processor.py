"""The processor on which results were measured: its model, kind and instruction sets."""

from __future__ import annotations

import platform
import re
from pathlib import Path
from typing import NamedTuple

__all__ = ["Processor", "kind_of", "this_processor"]


class Processor(NamedTuple):
    """The processor, as the operating system describes it.

    Attributes
    ----------
    vendor : str
        Vendor, for example "GenuineIntel"; empty if it is not known.
    family, model : int
        Numbers of the family and the model; 0 if they are not known.
    name : str
        Human-readable name of the model.
    flags : tuple of str
        The operating system's names of its instruction sets.
    """

    vendor: str
    family: int
    model: int
    name: str
    flags: tuple[str, ...] = ()

    @property
    def arithmetic(self) -> str:
        """Names of the instruction sets on which speed depends, separated by spaces."""
        return " ".join(flag for flag in self.flags if _ARITHMETIC.fullmatch(flag))


# Multiply-adds, vectors and products of 8-bit numbers, of x86-64 and of Arm.
_ARITHMETIC = re.compile(r"(avx|amx)\w*|fma\w*|f16c|sse4_[12]|asimd\w*|i8mm|bf16|sve\w*")
# Vendor, family, and first and last model of the kinds that have been measured or are common. The
# numbers are those that Linux prints in /proc/cpuinfo.
_KINDS = (
    ("GenuineIntel", 6, range(85, 86), "intel-skylake-server"),
    ("GenuineIntel", 6, range(106, 109), "intel-ice-lake-server"),
    ("GenuineIntel", 6, range(143, 144), "intel-sapphire-rapids"),
    ("GenuineIntel", 6, range(151, 155), "intel-alder-lake"),
    ("GenuineIntel", 6, range(167, 168), "intel-rocket-lake"),
    ("GenuineIntel", 6, range(173, 175), "intel-granite-rapids"),
    ("GenuineIntel", 6, range(207, 208), "intel-emerald-rapids"),
    ("AuthenticAMD", 23, range(1, 49), "amd-zen"),
    ("AuthenticAMD", 23, range(49, 160), "amd-zen-2"),
    ("AuthenticAMD", 25, range(16), "amd-zen-3"),
    ("AuthenticAMD", 25, range(16, 32), "amd-zen-4"),
    ("AuthenticAMD", 25, range(32, 96), "amd-zen-3"),
    ("AuthenticAMD", 25, range(96, 176), "amd-zen-4"),
    ("AuthenticAMD", 26, range(256), "amd-zen-5"),
)
# Intel's kinds with AMX, the oldest first.
_WITH_AMX = ("intel-sapphire-rapids", "intel-emerald-rapids", "intel-granite-rapids")


def kind_of(processor: Processor) -> str:
    """Return a plain name such as "intel-sapphire-rapids" for a processor.

    For a processor that is not in the table, the result is the operating system's name in lower
    case with hyphens. Virtual machines may report the number of an older model than their
    instruction sets suggest, so a processor with AMX counts at least as the first kind with AMX.
    """
    has_amx = "amx_tile" in processor.flags
    for vendor, family, models, kind in _KINDS:
        if (vendor, family) == processor[:2] and processor.model in models:
            return _WITH_AMX[0] if has_amx and kind not in _WITH_AMX else kind
    words = re.sub(r"\((r|tm)\)|\bcpu\b|@.*", " ", processor.name.lower())
    return re.sub(r"[^a-z0-9]+", "-", words).strip("-") or "unknown"


def this_processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> Processor:
    """Return the processor of this machine.

    Parameters
    ----------
    cpuinfo : pathlib.Path
        File in which Linux describes the processors. If it does not exist, only the name is known.
    """
    fields: dict[str, str] = {}
    if cpuinfo.is_file():
        for line in cpuinfo.read_text("utf-8").splitlines():
            key, _, value = line.partition(":")
            # The first processor represents all.
            fields.setdefault(key.strip(), value.strip())
    return Processor(
        vendor=fields.get("vendor_id", ""),
        family=int(fields.get("cpu family", 0)),
        model=int(fields.get("model", 0)),
        name=fields.get("model name") or platform.processor() or platform.machine(),
        flags=tuple((fields.get("flags") or fields.get("Features", "")).split()),
    )
