"""Functions of a file that may start another program, read from its syntax tree."""

from __future__ import annotations

import ast
import itertools
import re
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from flashwasm.qe.changes.functions.function_lines import body_lines
from flashwasm.qe.changes.functions.surroundings import Surroundings
from flashwasm.qe.changes.known_names import HARMLESS_ATTRIBUTES, NAMESPACES
from flashwasm.qe.suites.expressions import dotted_name
from flashwasm.qe.suites.syntax_trees import (
    DEFINITION_NODES,
    FUNCTION_NODES,
    FunctionNode,
    mentioned_name,
)

__all__ = ["OS_MODULES", "ProgramStarts", "program_starts"]

_DOTTED = re.compile(r"[^\W\d]\w*(?:[.:][^\W\d]\w*)*")
# Modules whose function ``system`` starts a program. Other functions have this name, too.
OS_MODULES = frozenset({"nt", "os", "posix"})
_SYSTEM = "os.system"
# Mentions of a whole module of the project that has starts, such as ``helper`` in ``use(helper)``.
_MODULE = "a module"


@dataclass
class ProgramStarts:
    """The places of a file that may start another program.

    Parameters
    ----------
    functions : list of set of int
        Lines of the body of each function that mentions a start.
    names : set of str
        Names by which another file may get at a start without naming it, such as ``go`` after
        ``from subprocess import run as go``.
    callers : set of str
        Names of the functions of a file of tests that may start a program when they are called.
    modules : set of str
        Names of modules with such names or functions.
    anywhere : set of str
        Names that are mentioned outside of functions in a way that may do anything, such as start a
        program at import.
    """

    functions: list[set[int]] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    callers: set[str] = field(default_factory=set)
    modules: set[str] = field(default_factory=set)
    anywhere: set[str] = field(default_factory=set)


def program_starts(
    tree: ast.Module, table: Collection[str], others: ProgramStarts, *, of_tests: bool
) -> ProgramStarts:
    """Return the places of a file that mention the start of another program.

    A function starts no program if it mentions no name of a start and calls no function that does.
    An import alone starts none, and neither does a use in `HARMLESS_ATTRIBUTES`.

    Parameters
    ----------
    tree : ast.Module
        Syntax tree of the file.
    table : collection of str
        Names that start programs in any file.
    others : ProgramStarts
        Names that the file may import from other files.
    of_tests : bool
        True for a file of tests. Then the functions that mention a starting function count, too,
        and a parameter may be a fixture.
    """
    reader = _StartReader(tree, table, others, of_tests=of_tests)
    reader.read()
    return reader.found


class _StartReader:
    """A reader of one file's mentions of starts."""

    def __init__(
        self, tree: ast.Module, table: Collection[str], others: ProgramStarts, *, of_tests: bool
    ) -> None:
        self.found = ProgramStarts()
        self._table = {*table, _SYSTEM, _MODULE}
        self._others = others
        self._of_tests = of_tests
        self._imports_start = False
        self._imports_all = False
        # Modules by the names that the file imports them by.
        self._modules: dict[str, str] = {}
        nodes = list(ast.walk(tree))
        self._tree = Surroundings(nodes, of_tests=of_tests)
        self._nodes: dict[str, list[ast.AST]] = defaultdict(list)
        for node in nodes:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                self._read_import(node)
        for node in nodes:
            for name in self._names_of(node):
                self._nodes[name].append(node)

    def read(self) -> None:
        """Find the places of all mentions, and of what becomes a mention through them."""
        functions: dict[FunctionNode, None] = {}
        if self._of_tests and self._imports_start:
            functions |= dict.fromkeys(self._functions_that_look_up_names())
        names = self._table | self._others.names | self.found.names
        callers = self._others.callers | self.found.callers
        # Each name with True if it leads to a start without a call of a function of the project.
        waiting = [*((name, True) for name in names), *((name, False) for name in callers)]
        for name, is_start in waiting:
            for node in self._mentions(name):
                owners, bound = self._reach(node, name) if is_start else self._around(node)
                functions |= dict.fromkeys(owners)
                outermost = filter(self._tree.is_outermost, owners if self._of_tests else ())
                called = {one.name for one in outermost}
                waiting += [(one, True) for one in bound - self.found.names]
                waiting += [(one, False) for one in called - self.found.callers]
                self.found.names |= bound
                self.found.callers |= called
        self.found.functions = [lines for one in functions if (lines := body_lines(one))]
        # A body on the line of its ``def`` has no lines of its own.
        self.found.anywhere |= {one.name for one in functions if not body_lines(one)}

    def _mentions(self, name: str) -> Iterator[ast.AST]:
        """Yield the nodes that mention a name, without the harmless ones.

        A variable with the name of one in another file must be imported from there.
        """
        imported = self._imports_all or name in {*self._table, *self.found.names}
        imported = imported or name in self.found.callers
        for node in self._nodes.get(name, ()):
            if (imported or not isinstance(node, ast.Name)) and not self._is_harmless(node):
                yield node

    def _functions_that_look_up_names(self) -> Iterator[FunctionNode]:
        """Yield the functions that may find an imported start by a computed name."""
        for node in (node for name in NAMESPACES for node in self._nodes.get(name, ())):
            yield from self._tree.functions(node)

    def _read_import(self, node: ast.Import | ast.ImportFrom) -> None:
        """Record the names that an import gives to starts."""
        module = getattr(node, "module", None) or ""
        starts = self._table | self._others.names
        from_start = not self._table.isdisjoint(module.split("."))
        from_start |= module in OS_MODULES and node.names[0].name in ("*", "system")
        for alias in node.names:
            bound = alias.asname or alias.name
            if isinstance(node, ast.Import):
                self._modules[bound] = alias.name
                is_start = not self._table.isdisjoint(alias.name.split("."))
                self._imports_start |= is_start
                self.found.names |= {alias.asname or ""} if is_start else set()
                continue
            self._modules[bound] = f"{module}.{alias.name}"
            self._imports_all |= bound == "*"
            if self._is_value(module, alias.name):
                continue
            if from_start or alias.name in starts:
                self._imports_start = True
                (self.found.anywhere if bound == "*" else self.found.names).add(bound)
            elif alias.name in self._others.callers:
                self.found.callers.add(bound)
        self.found.names -= {*self._table, ""}

    def _names_of(self, node: ast.AST) -> Iterator[str]:
        """Yield the names that a node may mention. A string may be the name of an attribute."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if len(node.value) < 200 and _DOTTED.fullmatch(node.value):
                parts = re.split("[.:]", node.value)
                yield from parts
                if parts[-1] == "system" and self._is_of_os(node, parts[:-1]):
                    yield _SYSTEM
        elif name := mentioned_name(node):
            yield name
            if name == "system" and isinstance(node, ast.Attribute):
                yield from [_SYSTEM] * self._is_os(node.value)
            if self._is_module(node) and not isinstance(self._tree.parent(node), ast.Attribute):
                yield _MODULE

    def _is_module(self, node: ast.AST) -> bool:
        """Return True if a node names a module of the project that has starts."""
        if isinstance(node, ast.Attribute):
            return node.attr in self._others.modules
        dotted = self._modules.get(node.id, "") if isinstance(node, ast.Name) else ""
        return dotted.rpartition(".")[2] in self._others.modules

    def _is_of_os(self, node: ast.Constant, module: list[str]) -> bool:
        """Return True if a string names an attribute of the module os."""
        call = self._tree.parent(node)
        first = call.args[:1] if isinstance(call, ast.Call) else []
        return not OS_MODULES.isdisjoint(module[-1:]) or any(map(self._is_os, first))

    def _is_os(self, node: ast.expr) -> bool:
        """Return True if an expression is the module os."""
        name = mentioned_name(node)
        return self._modules.get(name, name) in OS_MODULES

    def _is_harmless(self, node: ast.AST) -> bool:
        """Return True if a mention uses its name only for something that starts no program."""
        parent = self._tree.parent(node)
        if isinstance(node, ast.Constant):
            if isinstance(parent, ast.Call):
                function = getattr(parent.func, "value", parent.func)
                asks = mentioned_name(parent.func) == "hasattr"
                return asks or self._is_harmless_use(function)
            return isinstance(parent, (ast.Compare, ast.Expr)) or self._is_in_all(node)
        if self._is_harmless_use(node) or self._tree.is_local(node):
            return True
        while isinstance(parent, ast.Attribute):
            parent = self._tree.parent(parent)
        identity = isinstance(parent, ast.Compare) and all(
            isinstance(one, (ast.Is, ast.IsNot)) for one in parent.ops
        )
        return identity or (isinstance(parent, ast.UnaryOp) and isinstance(parent.op, ast.Not))

    def _is_harmless_use(self, node: ast.AST) -> bool:
        """Return True for a value of a module that is no function, or a call of a harmless one."""
        name, use = mentioned_name(node), node
        dotted = self._modules.get(name, name)
        if isinstance(parent := self._tree.parent(node), ast.Attribute) and "." not in dotted:
            dotted, use = f"{dotted}.{parent.attr}", parent
        module, _, attribute = dotted.rpartition(".")
        around = self._tree.parent(use)
        if self._is_value(module, attribute):
            return not isinstance(around, ast.Attribute)
        # The function itself leads to others: ``multiprocessing.cpu_count.__self__.Process``.
        called = isinstance(around, ast.Call) and around.func is use
        return called and attribute in HARMLESS_ATTRIBUTES.get(module, ())

    def _is_value(self, module: str, name: str) -> bool:
        """Return True if a name of a module is a constant or an exception that starts nothing."""
        is_function = name.islower() and not name.startswith("__")
        return name in HARMLESS_ATTRIBUTES.get(module, ()) and not is_function

    def _is_in_all(self, node: ast.AST) -> bool:
        """Return True if a node belongs to an assignment of ``__all__``."""
        return any(
            "__all__" in map(mentioned_name, _targets(one))
            for one in self._tree.ancestors(node)
            if isinstance(one, ast.stmt)
        )

    def _reach(self, node: ast.AST, name: str) -> tuple[list[FunctionNode], set[str]]:
        """Return the functions that run a mention, and the names that it gives to a start."""
        owners, _ = self._around(node)
        return (owners, set()) if owners else self._reach_at_import(node, name)

    def _around(self, node: ast.AST) -> tuple[list[FunctionNode], set[str]]:
        """Return the innermost function around a node, and no names."""
        return [*itertools.islice(self._tree.functions(node), 1)], set()

    def _reach_at_import(self, node: ast.AST, name: str) -> tuple[list[FunctionNode], set[str]]:
        """Return the same as `_reach` for a mention that runs when the file is imported."""
        if isinstance(node, ast.Constant) and not self._of_tests:
            return [], set()
        child = node
        for one in self._tree.ancestors(node):
            if isinstance(one, DEFINITION_NODES):
                functions = [n for n in ast.walk(one) if isinstance(n, FUNCTION_NODES)]
                if child in one.decorator_list and self._is_mark(child, node):
                    return functions, set()
                # A default or an annotation.
                if isinstance(one, FUNCTION_NODES) and child in (one.args, one.returns):
                    return [one], {one.name}
                if isinstance(one, ast.ClassDef) and self._is_only_base(child, one):
                    return functions, {one.name}
            elif isinstance(one, (ast.Assign, ast.AnnAssign)) and name != "pytester":
                names = {target.id for target in _targets(one) if isinstance(target, ast.Name)}
                if len(names) == len(_targets(one)):
                    is_data = isinstance(node, ast.Constant) and child is not node
                    return [], set() if is_data else names
            is_call = isinstance(one, ast.Call) and not self._is_mark(one, node)
            if is_call or isinstance(one, (ast.Await, ast.Lambda, ast.stmt)):
                break
            child = one
        self.found.anywhere.add(name)
        return [], set()

    def _is_mark(self, call: ast.AST, mention: ast.AST) -> bool:
        """Return True for a mark of pytest that gives what it mentions to the marked test only."""
        dotted = dotted_name(call.func) if isinstance(call, ast.Call) else ""
        first, _, rest = dotted.partition(".")
        if self._modules.get(first) != "pytest":
            return False
        is_text = isinstance(mention, ast.Constant) and rest.startswith("mark.")
        return is_text or rest in ("mark.parametrize", "param")

    def _is_only_base(self, node: ast.AST, definition: ast.ClassDef) -> bool:
        """Return True if a class has one base, so that no other one learns of the class."""
        others = [mentioned_name(base) for base in definition.bases if base is not node]
        is_base = len(others) < len(definition.bases)
        return is_base and not definition.keywords and {*others} <= {"object"}


def _targets(node: ast.stmt) -> list[ast.expr]:
    """Return the places that a statement assigns to."""
    if isinstance(node, ast.Assign):
        return node.targets
    return [node.target] if isinstance(node, (ast.AnnAssign, ast.AugAssign)) else []
