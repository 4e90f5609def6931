"""Random sequences of calls, compared with simple Python models; `make soak` searches longer."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from bench.reliability.state_machines import MACHINES

# Steps of an example, and examples: some seconds for each machine.
BOUNDED = settings(
    max_examples=15,
    stateful_step_count=30,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@pytest.mark.parametrize("name", MACHINES)
def test_state_machine(name):
    run_state_machine_as_test(MACHINES[name], settings=BOUNDED)
