"""Parsing of a Python file into its outline. This never imports a file, so it runs no code."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import replace

from flashwasm.qe.suites.decorators import constructs, decorator_name, function_decorators
from flashwasm.qe.suites.expressions import (
    assigned,
    base_names,
    dotted_name,
    source_of,
    unpacked_names,
)
from flashwasm.qe.suites.module_outline import (
    BINDING_RANK,
    Binding,
    ClassName,
    ClassOutline,
    FunctionSpan,
    ImportedName,
    ModuleOutline,
    Unfollowed,
    Value,
)
from flashwasm.qe.suites.static_conditions import truth
from flashwasm.qe.suites.syntax_trees import FunctionNode, assignment_targets, parse_source

__all__ = ["parse_outline"]

# A file without this text has no statement that binds names implicitly.
_MAY_BIND_MORE = ("globals(", "locals(", "vars(", "setattr(", "exec(", "sys.modules[")
_NAMESPACES = {"globals", "locals", "vars"}


def parse_outline(text: str) -> ModuleOutline:
    """Return the outline of a module.

    Parameters
    ----------
    text : str
        Source of the module.

    Raises
    ------
    SyntaxError, ValueError, RecursionError, MemoryError
        If the text is not Python; see `ast.parse`.

    Examples
    --------
    >>> list(parse_outline("def test_one(): ...").names)
    ['test_one']
    """
    tree = parse_source(text)
    module = _Scope("", {}, may_bind_more=any(word in text for word in _MAY_BIND_MORE))
    module.read(tree.body)
    return ModuleOutline(
        names=module.names,
        conditional=module.conditional,
        classes=module.classes,
        deleted=sorted(module.deleted),
        stars=module.stars,
        exported=module.exported,
        is_test=module.is_test,
        unfollowed=module.unfollowed,
    )


class _Scope:
    """Reads the statements of a module or a class body.

    Parameters
    ----------
    prefix : str
        Prefix of the qualified names of classes inside it: "" for a module.
    classes : dict of str to ClassOutline
        Receives the outlines of the classes inside it.
    may_bind_more : bool
        False if the file cannot contain statements that bind names implicitly.
    """

    def __init__(
        self, prefix: str, classes: dict[str, ClassOutline], *, may_bind_more: bool
    ) -> None:
        self._prefix = prefix
        self._may_bind_more = may_bind_more
        self.classes = classes
        self.names: dict[str, Binding] = {}
        self.conditional: dict[str, int] = {}
        self.abstract: set[str] = set()
        self.deleted: set[str] = set()
        self.stars: list[tuple[str, int]] = []
        self.exported: list[str] | None = None
        self.is_test: bool | None = None
        self.unfollowed: list[Unfollowed] = []

    def read(self, body: Sequence[ast.stmt], *, conditional: bool = False) -> None:
        """Read statements. Conditional ones may not run, or may run instead of others."""
        for node in body:
            _READERS.get(type(node), _Scope.read_block)(self, node, conditional=conditional)

    def read_function(self, node: FunctionNode, *, conditional: bool) -> None:
        """Read the ``def`` of a function."""
        self._note_condition(node.name, node.lineno, conditional=conditional)
        self._bind(node.name, self._function(node), conditional=conditional)

    def read_if(self, node: ast.If, *, conditional: bool) -> None:
        """Read the branches of an ``if`` that may run."""
        holds = truth(node.test)
        if holds is not False:
            self.read(node.body, conditional=conditional or holds is None)
        if holds is not True:
            self.read(node.orelse, conditional=conditional or holds is None)

    def read_deletion(self, node: ast.Delete, *, conditional: bool) -> None:
        """Read a ``del``. Code above it may still use the names."""
        for target in node.targets:
            if isinstance(target, ast.Name) and not conditional:
                self.deleted.add(target.id)

    def read_block(self, node: ast.stmt, *, conditional: bool) -> None:
        """Read the statements inside a ``try``, ``with`` or loop, and expressions."""
        if isinstance(node, ast.Expr):
            self._read_expression(node)
        # A ``with`` runs its body once, and so does a ``try`` unless it fails.
        once = not isinstance(node, (ast.For, ast.AsyncFor, ast.While))
        self.read(getattr(node, "body", []), conditional=conditional or not once)
        for handler in getattr(node, "handlers", []):
            self.read(handler.body, conditional=True)
        for case in getattr(node, "cases", []):
            self.read(case.body, conditional=True)
        self.read(getattr(node, "orelse", []), conditional=conditional)
        self.read(getattr(node, "finalbody", []), conditional=conditional)

    def _bind(self, name: str, binding: Binding, *, conditional: bool) -> None:
        """Bind a name. A later binding replaces an earlier one, unless a condition chooses one."""
        old = self.names.get(name)
        if conditional and old is not None:
            new_rank, old_rank = BINDING_RANK[type(binding)], BINDING_RANK[type(old)]
            if new_rank < old_rank or (
                new_rank == old_rank and new_rank < BINDING_RANK[FunctionSpan]
            ):
                return
        self.names[name] = binding
        self.deleted.discard(name)
        if not isinstance(binding, FunctionSpan):
            self.abstract.discard(name)

    def _note_condition(self, name: str, line: int, *, conditional: bool) -> None:
        """Record a definition that a condition may skip. A second one is its alternative."""
        if conditional and name not in self.names:
            self.conditional[name] = line
        else:
            self.conditional.pop(name, None)

    def _function(self, node: FunctionNode) -> Binding:
        """Return the binding of a function's name."""
        self.abstract.discard(node.name)
        decorated = function_decorators(node)
        if decorated == "abstract":
            self.abstract.add(node.name)
        elif decorated == "value":
            return Value()
        elif decorated:
            return Unfollowed(node.lineno, f"{decorated} replaces {node.name}")
        first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        return FunctionSpan(node.name, node.lineno, first, node.end_lineno or node.lineno)

    def read_class(self, node: ast.ClassDef, *, conditional: bool) -> None:
        """Add the outline of a class, and of the classes inside it."""
        name = f"{self._prefix}{node.name}"
        self._note_condition(node.name, node.lineno, conditional=conditional)
        self._bind(node.name, ClassName(name), conditional=conditional)
        if conditional and name in self.classes:
            return  # Of two alternatives, either one may be used; take the first.
        bases = [base for written in node.bases for base in base_names(written)]
        if node.name in bases and (earlier := self.classes.get(name)) is not None:
            bases = [self._set_aside(earlier) if one == node.name else one for one in bases]
        inner = _Scope(f"{name}.", self.classes, may_bind_more=self._may_bind_more)
        inner.read(node.body)
        decorators = [decorator_name(one) for one in node.decorator_list]
        metaclasses = [one.value for one in node.keywords if one.arg == "metaclass"]
        self.classes[name] = ClassOutline(
            name=name,
            line=node.lineno,
            bases=bases,
            metaclass="".join(base for written in metaclasses for base in base_names(written)),
            decorators=decorators,
            conditional=inner.conditional,
            names={k: v for k, v in inner.names.items() if k not in inner.deleted},
            abstract=sorted(inner.abstract),
            has_constructor=any(map(constructs, decorators))
            or not inner.names.keys().isdisjoint(("__init__", "__new__")),
            is_test=inner.is_test,
            unfollowed=inner.unfollowed,
        )

    def _set_aside(self, earlier: ClassOutline) -> str:
        """Rename a class that a later class of the same name inherits from; return the new name.

        The new name is not a valid identifier, so pytest's rules do not collect the class.
        """
        aside = replace(earlier, name=f"{earlier.name}@{earlier.line}")
        self.classes[aside.name] = aside
        name = aside.name.removeprefix(self._prefix)
        self.names[name] = ClassName(aside.name)
        self.deleted.add(name)
        return name

    def read_import(self, node: ast.Import | ast.ImportFrom, *, conditional: bool) -> None:
        """Read the names that an import binds."""
        if isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            for alias in node.names:
                if alias.name == "*":
                    self.stars.append((module, node.lineno))
                else:
                    imported = ImportedName(module, alias.name)
                    self._bind(alias.asname or alias.name, imported, conditional=conditional)
            return
        for alias in node.names:
            # `import a.b` binds a to the package a; `import a.b as c` binds c to the module a.b.
            first = alias.name.partition(".")[0]
            imported = ImportedName(alias.name if alias.asname else first, "")
            self._bind(alias.asname or first, imported, conditional=conditional)

    def read_assignment(
        self, node: ast.Assign | ast.AnnAssign | ast.AugAssign, *, conditional: bool
    ) -> None:
        """Read the names that an assignment binds, and the settings among them."""
        if node.value is None:
            return  # An annotation without a value binds nothing.
        for target in assignment_targets(node):
            if isinstance(target, ast.Name):
                if target.id == "__test__":
                    self.is_test = bool(getattr(node.value, "value", True))
                elif target.id == "__all__":
                    self._read_exported(node)
                self._bind(target.id, assigned(target.id, node.value), conditional=conditional)
            elif isinstance(target, ast.Attribute) and target.attr == "__test__":
                self._set_test_flag(target.value, node.value)
            elif isinstance(target, ast.Subscript):
                self._note_namespace(target.value, node.lineno)
            for name in unpacked_names(target):
                # A call may return several test classes, which are unpacked to names.
                made = assigned(name, node.value) if isinstance(node.value, ast.Call) else Value()
                self._bind(name, made, conditional=conditional)

    def _read_exported(self, node: ast.Assign | ast.AnnAssign | ast.AugAssign) -> None:
        """Read ``__all__``, if its names are literals."""
        items = getattr(node.value, "elts", None)
        names = [getattr(item, "value", None) for item in items or ()]
        if items is None or not all(isinstance(name, str) for name in names):
            self.exported = None
        elif isinstance(node, ast.AugAssign):
            self.exported = None if self.exported is None else [*self.exported, *map(str, names)]
        else:
            self.exported = [str(name) for name in names]

    def _read_expression(self, node: ast.Expr) -> None:
        """Read a call that may bind names or set ``__test__``."""
        call = node.value
        if not self._may_bind_more or not isinstance(call, ast.Call):
            return
        called = dotted_name(call.func)
        first = call.args[0] if call.args else None
        if called == "setattr" and first is not None:
            if len(call.args) == 3 and getattr(call.args[1], "value", "") == "__test__":
                self._set_test_flag(first, call.args[2])
            elif isinstance(self._bound(first), (ClassName, ImportedName)) or (
                "sys.modules[" in source_of(first)
            ):
                reason = f"setattr binds names in {source_of(first)}"
                self.unfollowed.append(Unfollowed(node.lineno, reason))
        elif called == "exec":
            self.unfollowed.append(Unfollowed(node.lineno, "exec may define more"))
        else:
            # Both ``globals().update(made)`` and ``make(globals())`` bind names.
            owner = call.func.value if isinstance(call.func, ast.Attribute) else call.func
            for one in (owner, *call.args):
                self._note_namespace(one, node.lineno)

    def _bound(self, node: ast.expr) -> Binding | None:
        """Return the binding of an expression, if it is a name in this scope."""
        return self.names.get(dotted_name(node))

    def _set_test_flag(self, owner: ast.expr, value: ast.expr) -> None:
        """Read a statement such as ``test_x.__test__ = False``, outside the function or class."""
        binding = self._bound(owner)
        flag = bool(getattr(value, "value", True))
        if isinstance(binding, ClassName):
            outline = self.classes[binding.qualified]
            self.classes[binding.qualified] = replace(outline, is_test=flag)
        elif binding is not None and not flag:
            self.names[dotted_name(owner)] = Value()

    def _note_namespace(self, owner: ast.expr, line: int) -> None:
        """Record a statement that binds names through ``globals()``, ``vars()`` or the like."""
        if isinstance(owner, ast.Call) and (name := dotted_name(owner.func)) in _NAMESPACES:
            self.unfollowed.append(Unfollowed(line, f"{name}() binds names"))


_READERS: dict[type[ast.stmt], Callable[..., None]] = {
    ast.AnnAssign: _Scope.read_assignment,
    ast.Assign: _Scope.read_assignment,
    ast.AsyncFunctionDef: _Scope.read_function,
    ast.AugAssign: _Scope.read_assignment,
    ast.ClassDef: _Scope.read_class,
    ast.Delete: _Scope.read_deletion,
    ast.FunctionDef: _Scope.read_function,
    ast.If: _Scope.read_if,
    ast.Import: _Scope.read_import,
    ast.ImportFrom: _Scope.read_import,
}
