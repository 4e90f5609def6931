"""Functions that may keep results for later callers, detected in the syntax tree."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from flashwasm.qe.changes.functions.conditions import (
    conditional_lines,
    conditions,
    hidden_branches,
)
from flashwasm.qe.changes.functions.places import mentioned_places
from flashwasm.qe.changes.known_names import CACHING_CALLS, CACHING_WORDS
from flashwasm.qe.suites.expressions import source_of
from flashwasm.qe.suites.syntax_trees import FUNCTION_NODES, FunctionNode, mentioned_name

if TYPE_CHECKING:
    from flashwasm.qe.changes.functions.function_body import FunctionBody

__all__ = [
    "KeepingFunctions",
    "KeptLines",
    "Summaries",
    "Summary",
    "caches_results",
    "wrapped_functions",
]

# Functions that Python calls only if a place has no value yet.
_FOR_MISSING = {"__get__", "__getattr__", "__missing__"}


def caches_results(body: FunctionBody) -> bool:
    """Return True if only the first caller of a function may run it.

    A decorator may cache its results, or the function fills the place whose value it computes, as
    ``__missing__`` does.
    """
    function = body.function
    names = (source_of(one).lower() for one in function.decorator_list)
    fills = function.name in _FOR_MISSING and bool(body.stores)
    return fills or any(word in name for name in names for word in CACHING_WORDS)


def wrapped_functions(tree: ast.Module) -> Iterator[ast.expr]:
    """Yield the functions that a file gives to a call which may cache their results.

    Examples are ``lru_cache(maxsize=None)(f)`` and ``defaultdict(f)``. A parameter of the function
    around the call says nothing about the name of the function that is given, so it is left out.
    """
    given = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, (*FUNCTION_NODES, ast.Lambda))
        for node in _uses_of_parameters(function)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            function = node.func
            while isinstance(function, ast.Call):
                function = function.func
            if mentioned_name(function) in CACHING_CALLS:
                yield from (one for one in node.args if id(one) not in given)


class Summary(NamedTuple):
    """The effect and the results of functions with one name, for callers in other files.

    Parameters
    ----------
    fills : set of str
        Attributes of any object that the functions fill.
    results : set of str
        Attributes on which their results depend.
    """

    fills: set[str]
    results: set[str]


class KeptLines(NamedTuple):
    """Lines of a function that may keep results for its later callers.

    Parameters
    ----------
    conditional : set of int
        Lines that may run only if there are no results yet.
    hidden : set of int
        Lines that always run, but may call another function only if there are no results yet.
    """

    conditional: set[int]
    hidden: set[int]


# Function that returns the summary of the functions of all files with a name.
Summaries = Callable[[str], Summary]


class KeepingFunctions:
    """The functions of a file that may keep results in a place that later calls see.

    Parameters
    ----------
    bodies : iterable of FunctionBody
        All functions of the file.
    """

    def __init__(self, bodies: Iterable[FunctionBody]) -> None:
        self._named: dict[str, list[FunctionBody]] = defaultdict(list)
        for body in bodies:
            self._named[body.function.name].append(body)

    def kept_lines(
        self, body: FunctionBody, elsewhere: Summaries, confined: Collection[ast.AST] = ()
    ) -> KeptLines | None:
        """Return lines of a function that may keep results; None for any other function.

        Such a function sets a global or nonlocal name, mentions a cache, or fills a place which
        also decides what it does, to find out if the place was filled before. Functions that it
        calls may do one or the other for it.

        Parameters
        ----------
        body : FunctionBody
            One of the functions.
        elsewhere : callable
            Function that returns the `Summary` of the functions of all files with a name.
        confined : collection of ast.AST, optional
            Functions whose nonlocal names nothing sees after the call of the function around it;
            see `confined_functions`.
        """
        function = body.function
        if _may_fill_anything(body, confined):
            lines = {*range(function.body[0].lineno, (function.end_lineno or 0) + 1)}
            return KeptLines(lines, {*hidden_branches(body.nodes, any)})
        filled = self._filled(body, elsewhere)

        def decides(parts: Iterable[ast.AST]) -> bool:
            places = mentioned_places(parts)
            return not filled.isdisjoint(self._all_sources(body, places, elsewhere))

        if not filled or not decides(part for node in body.nodes for part in conditions(node)):
            return None
        return KeptLines(
            {*conditional_lines(function.body, decides)}, {*hidden_branches(body.nodes, decides)}
        )

    def summary(self, name: str) -> Summary:
        """Return what a call of the functions with a name means to callers in other files."""
        fills: set[str] = set()
        results: set[str] = set()
        for body in self._named[name]:
            fills |= body.fills.union(*(one.fills for one in self._callees(body)))
            results |= self._sources(body, body.results)
        # In another file, a variable of this one is an attribute of its module.
        attributes = {one if one.startswith(".") else f".{one}" for one in fills}
        return Summary(attributes, {one for one in results if one.startswith(".")})

    def _filled(self, body: FunctionBody, elsewhere: Summaries) -> set[str]:
        """Return the places that a call of a function fills."""
        own = body.fresh - {"cls"}
        filled = {one.place for one in body.stores} | ({one.root for one in body.stores} - own)
        for helper in self._callees(body) - {body}:
            filled |= helper.fills - own
        return filled.union(*(elsewhere(name).fills for name in body.called))

    def _all_sources(self, body: FunctionBody, places: set[str], elsewhere: Summaries) -> set[str]:
        """Return the same as `_sources`, with those in functions of other files."""
        found = self._sources(body, places)
        return found.union(*(elsewhere(one.removeprefix(".")).results for one in found))

    def _sources(self, body: FunctionBody, places: set[str]) -> set[str]:
        """Return places in a function, and those that their values come from.

        They are the places in assigned values, and those on which the results of functions with
        one of these names depend.
        """
        found, assigned = {*places}, body.assigned
        helpers: set[FunctionBody] = set()
        while True:
            more = [value for targets, value in assigned if not targets.isdisjoint(found)]
            new = self._with_names(found) - helpers
            if not more and not new:
                return found
            assigned = [pair for pair in assigned if pair[0].isdisjoint(found)]
            helpers |= new
            found = found.union(*more, *(helper.results for helper in new))

    def _callees(self, body: FunctionBody) -> set[FunctionBody]:
        """Return the functions of the file that a function may call, directly or through others."""
        found: set[FunctionBody] = set()
        waiting = {body}
        while waiting:
            waiting = {one for caller in waiting for one in self._with_names(caller.called)} - found
            found |= waiting
        return found

    def _with_names(self, places: Iterable[str]) -> set[FunctionBody]:
        """Return the functions of the file with one of some names."""
        named = (self._named.get(place.removeprefix("."), ()) for place in places)
        return {one for some in named for one in some}


def _may_fill_anything(body: FunctionBody, confined: Collection[ast.AST]) -> bool:
    """Return True if a function may fill a place whose name is not known."""
    function = body.function
    for node in ast.walk(function):
        name = mentioned_name(node).lower()
        if isinstance(node, ast.Global) or "cache" in name or "memo" in name:
            return True
    outer = any(isinstance(node, ast.Nonlocal) for node in body.nodes)
    # A function may also replace itself.
    return (outer and function not in confined) or any(
        not store.root or store.place == f".{function.name}" for store in body.stores
    )


def _uses_of_parameters(function: FunctionNode | ast.Lambda) -> Iterator[ast.AST]:
    """Yield the names in a function that are its parameters."""
    names = {one.arg for one in ast.walk(function.args) if isinstance(one, ast.arg)}
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and node.id in names:
            yield node
