"""The functions of a file that a change touches, by their lines before the change."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from flashwasm.qe.changes.diffs.file_versions import file_versions
from flashwasm.qe.changes.diffs.lines_after import LinesAfter
from flashwasm.qe.changes.diffs.same_code import compiles_alike
from flashwasm.qe.changes.functions.function_lines import function_lines_of

if TYPE_CHECKING:
    from flashwasm.qe.changes.diffs.file_versions import FileVersions
    from flashwasm.qe.changes.diffs.unified_diff import ChangedFile
    from flashwasm.qe.changes.functions.function_lines import FunctionLines

__all__ = ["TouchedFunctions", "touched_functions"]


@dataclass
class TouchedFunctions:
    """The functions that a change of a file touches.

    Parameters
    ----------
    wider : list of str
        Reasons why the change may reach more than the callers of these functions.
    functions : dict of frozenset of int to list of int
        Changed lines of each function, with their numbers after the change, by the lines of its
        body before the change.
    new : list of int
        Added lines in new functions, with their numbers after the change.
    bodies : set of int
        Lines of all functions of the file before the change.
    statements : dict of int to range
        Lines of the statement around each removed line, without the statements inside it; all
        numbers are those before the change. A line such as ``else:`` has no statement.
    """

    wider: list[str] = field(default_factory=list)
    functions: dict[frozenset[int], list[int]] = field(default_factory=dict)
    new: list[int] = field(default_factory=list)
    bodies: set[int] = field(default_factory=set)
    statements: dict[int, range] = field(default_factory=dict)


def touched_functions(change: ChangedFile, file: Path) -> TouchedFunctions:
    """Return the functions that a change of a file touches.

    Parameters
    ----------
    change : ChangedFile
        The change.
    file : pathlib.Path
        The file after the change.
    """
    versions = file_versions(file, change)
    if versions is None:
        return TouchedFunctions([f"{change.path} is not as the diff leaves it"])
    old, new = function_lines_of(versions.before), function_lines_of(versions.after)
    if old is None or new is None:
        return TouchedFunctions([f"{change.path} cannot be read"])
    after = LinesAfter(change)
    found = TouchedFunctions(_outside_bodies(change, versions, old, new), bodies=old.bodies)
    found.statements = {n: old.statements[n] for n in change.removed if n in old.statements}
    for line in sorted(change.removed):
        found.functions.setdefault(old.around(line), []).append(after(line))
    for line in sorted(change.added.keys() & new.bodies):
        place = versions.place_of(line)
        functions = _functions_of(line, versions, old, new)
        if place in change.removed:
            functions.add(old.around(place))
        for lines in functions - {frozenset()}:
            found.functions.setdefault(lines, []).append(line)
        if not functions - {frozenset()}:
            found.new.append(line)
    if found.new:
        found.wider.append(f"{change.path}:{found.new[0]} is in a new function")
    found.functions.pop(frozenset(), None)
    return found


def _outside_bodies(
    change: ChangedFile, versions: FileVersions, old: FunctionLines, new: FunctionLines
) -> list[str]:
    """Return the reason if a change has an effect even if no function is called."""
    removed = sorted(change.removed.keys() - old.bodies)
    at_import = [*map(LinesAfter(change), removed), *sorted(change.added.keys() - new.bodies)]
    if at_import:
        return [f"{change.path}:{at_import[0]} runs at import"]
    if not compiles_alike(versions.before, versions.after):
        return [f"{change.path} may compile with another error or warning"]
    if other := _other_kind(old, new):
        return [f"{change.path}: {other} has another docstring or kind"]
    return []


def _other_kind(old: FunctionLines, new: FunctionLines) -> str:
    """Return the name of a function that a change makes another kind of function, else "".

    A test may examine a function, or only call a generator, without running its body.
    """
    changed = (name for name, kind in old.kinds.items() if new.kinds.get(name, kind) != kind)
    return next(changed, "").removeprefix(".")


def _functions_of(
    line: int, versions: FileVersions, old: FunctionLines, new: FunctionLines
) -> set[frozenset[int]]:
    """Return the old lines of the functions that the other lines of an added one's belonged to.

    There are none if its function is new, or all of its lines are.
    """
    own = new.around(line)
    others = (n for n in own if n in versions.old_of and new.around(n) == own)
    return {old.around(versions.old_of[other]) for other in others} - {frozenset()}
