"""Runtimes that call kernels in the usual way, or by wasmtime's public interface."""

import pytest

import flashwasm as fw
from flashwasm.host import instance


def runtime_calling(*, fast, **options):
    """Return a runtime with one thread. Unless ``fast``, it is as if wasmtime had no fast call."""
    with pytest.MonkeyPatch.context() as patch:
        if not fast:
            patch.setattr(instance, "_unchecked_call", None)
        return fw.Runtime(threads=1, **options)
