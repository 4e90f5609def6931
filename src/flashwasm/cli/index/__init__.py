"""``flashwasm index``: index files are built, described, checked and merged."""

from flashwasm.cli.index import build, inspection, merge
from flashwasm.cli.index.group import index

__all__ = ["build", "index", "inspection", "merge"]
