"""A fixture that disposes of workloads when their test is over."""

import pytest

from flashwasm import qe


@pytest.fixture
def make():
    made = []

    def make(workload="test-similarity", **settings):
        made.append(qe.create_qe_flash_attention(workload, settings))
        return made[-1]

    yield make
    for attention in made:
        attention.dispose()
