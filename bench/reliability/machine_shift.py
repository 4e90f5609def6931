"""A shift of the soak that lets Hypothesis drive the state machines."""

from __future__ import annotations

import faulthandler
import gc
import itertools
import sys
import time
import traceback

import hypothesis
from hypothesis.stateful import run_state_machine_as_test

from bench.reliability.state_machines import MACHINES
from bench.reliability.tally import Tally

__all__ = ["main"]

# Sequences of calls between two reports.
_EXAMPLES = 10


def main(seed: int, seconds: float) -> None:
    """Drive all machines in turn for some seconds, and print the counts as JSON lines.

    Parameters
    ----------
    seed : int
        Seed of all random choices.
    seconds : float
        Duration.
    """
    faulthandler.enable()
    tally, end = Tally(), time.monotonic() + seconds
    settings = hypothesis.settings(
        max_examples=_EXAMPLES,
        stateful_step_count=50,
        database=None,
        deadline=None,
        derandomize=False,
        # Shrinking a failing sequence would take minutes. The seed is enough to repeat it.
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    for number, name in enumerate(itertools.cycle(MACHINES)):
        # Hypothesis's plugin for pytest sets the seed in the same way.
        hypothesis.core.global_force_seed = seed * 1000 + number  # type: ignore[assignment] # it is None at first.
        # Each runtime reserves 4 GiB of addresses until it is collected.
        gc.collect()
        try:
            run_state_machine_as_test(MACHINES[name], settings=settings)
        except BaseException:  # noqa: BLE001 - any error is a finding.
            tally.fail("unexpected errors", f"{name}: {traceback.format_exc(limit=-3)}")
        tally.add("sequences of calls", _EXAMPLES)
        done = time.monotonic() >= end
        tally.report(done=done)
        if done:
            return


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
