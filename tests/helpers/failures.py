"""Failures as text: from exceptions that are really raised, and in pytest's short style."""

import traceback

from flashwasm.qe import read_failure


def raised(function):
    try:
        function()
    except BaseException as error:  # noqa: BLE001 - tests raise every kind.
        return error


def caught(function):
    return "".join(traceback.format_exception(raised(function)))


def failure(exception="ValueError", function="parse", message="bad", extra=""):
    return read_failure(f"lib.py:7: in {function}\n    {extra}x()\nE   {exception}: {message}")
