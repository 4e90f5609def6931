"""Folders of the checkout that tests read."""

from pathlib import Path

HELPERS = Path(__file__).resolve().parent
TESTS = HELPERS.parent
ROOT = TESTS.parent
SOURCE = ROOT / "src" / "flashwasm"
