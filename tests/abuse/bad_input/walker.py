"""Execution of a subject's rows: it makes the calls, compares results, and checks the runtime."""

import dataclasses
import gc
import re

import numpy as np

import flashwasm as fw

# A small call after each row: the runtime still works.
_CANARY = np.arange(12, dtype=np.float32).reshape(3, 4)
# Fields of results that are times, which differ from call to call.
_TIMES = {"time_ms", "within_target"}


def contents(result):
    """Return a result in a form that is equal only if all its bytes are."""
    if isinstance(result, np.ndarray):
        data = result.tolist() if result.dtype == object else np.ascontiguousarray(result).tobytes()
        return result.shape, str(result.dtype), data
    if dataclasses.is_dataclass(result):
        fields = [f.name for f in dataclasses.fields(result) if f.name not in _TIMES]
        return [contents(getattr(result, name)) for name in fields]
    if isinstance(result, (tuple, list)):
        return [contents(one) for one in result]
    if isinstance(result, float):
        return result.hex()
    return result


class Walk:
    """The rows of one subject on one runtime.

    Attributes
    ----------
    faults : list of str
        A line for each row whose outcome is another than the table says.
    raised : set of type
        Classes of the errors that the rows provoked.
    """

    def __init__(self, subject, runtime):
        self.subject = subject
        self.runtime = runtime
        self.faults = []
        self.raised = set()

    def go(self):
        """Walk the rows; the plain call has the same result before and after."""
        plain = contents(self.subject.call(self.runtime, {}))
        works = contents(fw.softmax(_CANARY, runtime=self.runtime))
        for row in self.subject.rows:
            before = self._bytes_in_use()
            fault = self._fault(row, plain)
            if not fault and self._bytes_in_use() != before:
                fault = f"holds {self._bytes_in_use() - before} bytes of linear memory"
            if not fault and contents(fw.softmax(_CANARY, runtime=self.runtime)) != works:
                fault = "the runtime computes something else now"
            if fault:
                self.faults.append(f"{self.subject.name}: {row.case}: {fault}")
        if contents(self.subject.call(self.runtime, {})) != plain:
            self.faults.append(f"{self.subject.name}: the plain call gives another result now")
        return self

    def _bytes_in_use(self):
        """Return the bytes of linear memory that arrays hold, without those that are garbage."""
        used = self.runtime.stats().bytes_in_use
        if used:
            gc.collect()
            used = self.runtime.stats().bytes_in_use
        return used

    def _fault(self, row, plain):
        """Return the difference between a row's outcome and what the table says, or ""."""
        try:
            result = self.subject.call(self.runtime, row.given())
        except Exception as error:  # noqa: BLE001 - a foreign error is what is looked for.
            self.raised.add(type(error))
            return self._wrong_error(row, error)
        if row.raises is not None:
            return f"no {row.raises.__name__}"
        expected = plain if row.gives is None else contents(row.gives)
        return "" if contents(result) == expected else "another result"

    @staticmethod
    def _wrong_error(row, error):
        """Return the difference between an error and the row's, or ""."""
        shown = f"{type(error).__name__}: {error!s:.150}"
        if row.raises is None:
            return shown
        as_documented = type(error) is row.raises
        if row.raises is OSError:  # The operating system's errors are classes of their own.
            as_documented = isinstance(error, OSError)
        if not as_documented:
            return f"{shown} instead of {row.raises.__name__}"
        if row.named and not re.search(rf"\b{row.argument}\b", str(error)):
            return f"the message does not name {row.argument}: {shown}"
        return ""
