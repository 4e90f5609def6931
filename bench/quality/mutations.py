"""Mutations of files: edits of one line each, similar to real faults."""

from __future__ import annotations

import ast
import difflib
import random
import warnings
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["KINDS", "Mutation", "choose"]

# Kinds of mutations: of a program's functions, of the lines of a program that run at import, and of
# the files beside its tests.
KINDS = (
    *("operator", "comparison", "constant", "return", "deleted statement"),
    *("module level", "default value", "decorator"),
    *("fixture", "test helper"),
)


@dataclass(frozen=True)
class Mutation:
    """An edit of one line.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    path : str
        Path of the file, relative to the project.
    line : int
        Number of the line, from 1.
    after : str
        The line after the edit, with its line ending; "" if the line is removed.
    """

    kind: str
    path: str
    line: int
    after: str

    def apply(self, source: str) -> str:
        """Return the text of the file after the edit."""
        lines = source.splitlines(keepends=True)
        lines[self.line - 1] = self.after
        return "".join(lines)

    def diff(self, source: str) -> str:
        """Return the edit as a unified diff, with the text of the file before it."""
        before, after = (text.splitlines(keepends=True) for text in (source, self.apply(source)))
        names = (f"a/{self.path}", f"b/{self.path}")
        lines = difflib.unified_diff(before, after, *names)
        return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)

    def compiles(self, source: str) -> bool:
        """Return True if the file is valid Python after the edit, and a different program."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                after = ast.parse(self.apply(source))
                compile(after, self.path, "exec")
                return ast.dump(after) != ast.dump(ast.parse(source))
        except (SyntaxError, ValueError):
            return False


def choose(mutations: Iterable[Mutation], seed: int) -> list[Mutation]:
    """Return mutations in a seeded order in which the kinds take turns.

    Parameters
    ----------
    mutations : iterable of Mutation
        Mutations to choose from.
    seed : int
        Seed of the order.
    """
    by_kind: dict[str, list[Mutation]] = defaultdict(list)
    for mutation in mutations:
        by_kind[mutation.kind].append(mutation)
    drawn = random.Random(seed)  # noqa: S311 - its choices are not secret.
    for group in by_kind.values():
        drawn.shuffle(group)
    longest = max(map(len, by_kind.values()), default=0)
    turns = (group[turn : turn + 1] for turn in range(longest) for group in by_kind.values())
    return [mutation for turn in turns for mutation in turn]
