"""``flashwasm index``: build, inspect, check and merge index files."""

from flashwasm.cli.index import build, inspection, merge
from flashwasm.cli.index.group import index

__all__ = ["build", "index", "inspection", "merge"]
