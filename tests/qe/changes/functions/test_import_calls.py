"""Modules that may call the project's functions while they are imported."""

import ast

import pytest

from flashwasm.qe.changes.functions.import_calls import calls_project_at_import

# Source of a module, and True if its import may call a function of the project.
MODULES = {
    "call": ("from shop import f\nX = f()", True),
    "method": ("import shop\nX = shop.table.get(1)", True),
    "decorator": ("from shop import f\n@f\ndef g(): pass", True),
    "decorator of a method": (
        "from shop import f\nclass A:\n    @f(1)\n    def g(self): pass",
        True,
    ),
    "default": ("from shop import f\ndef g(a=f()): pass", True),
    "base": ("from shop import Base\nclass A(Base): pass", True),
    "metaclass": ("from shop import Meta\nclass A(metaclass=Meta): pass", True),
    "base with a hook": (
        "class A:\n    def __init_subclass__(cls): pass\nclass B(A): pass",
        True,
    ),
    "function of its own": ("def f(): pass\nX = f()", True),
    "argument": ("from shop import f\nX = list(map(f, [1]))", True),
    "with": ("from shop import lock\nwith lock: pass", True),
    "loop": ("from shop import names\nfor name in names: pass", True),
    "comprehension": ("from shop import names\nX = [name for name in names]", True),
    "nothing": ("", False),
    "imports and constants": ("from shop import f\nX = 1\nY = [f]", False),
    "standard library": (
        "import re\nfrom typing import TypeVar as T\nX = re.compile(T('A'))",
        False,
    ),
    "method of a literal": ("X = ', '.join(['a'])", False),
    "call in a function": ("from shop import f\ndef g(): return f()", False),
    "lambda": ("from shop import f\nX = lambda: f()", False),
    "base of its own": ("class A: pass\nclass B(A): pass", False),
}


@pytest.mark.parametrize(("source", "calls"), MODULES.values(), ids=MODULES)
def test_modules_that_call_the_project_at_import(source, calls):
    assert calls_project_at_import(ast.parse(source)) == calls
