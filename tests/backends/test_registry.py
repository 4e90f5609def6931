"""Backends by name."""

import pytest

import flashwasm as fw
from flashwasm.backends.registry import BACKENDS, check_options


class _OnlyCausal:
    name = "odd"

    def options(self, operation):
        return frozenset({"causal"} if operation == "attention" else ())


def test_the_sandbox_comes_first():
    assert BACKENDS == ("wasm-simd", "native", "gpu", "hybrid")


def test_an_option_that_a_backend_lacks_is_named():
    check_options(_OnlyCausal(), "attention", ["causal"])
    with pytest.raises(fw.CapabilityError, match=r"dropout: the backend 'odd' does not support"):
        check_options(_OnlyCausal(), "attention", ["causal", "dropout"])
