"""Functions that may keep results for later callers."""

import ast

import pytest

from flashwasm.qe.changes.kept_state import caches_results, keeps_state

# Source of a function, and True if it may keep results.
FUNCTIONS = {
    "global name": ("def f():\n    global x\n    x = 1", True),
    "closure": ("def f():\n    nonlocal x\n    x = 1", True),
    "cache": ("def f(): return _cache[1]", True),
    "item of a module's dictionary": ("def f(): found[1] = 2", True),
    "list of a module": ("def f(): found.append(1)", True),
    "attribute of itself": ("def f(): f.value = 1", True),
    "class": ("def f(cls): cls.value = 1", True),
    "class of an object": ("def f(self): self.__class__.value = 1", True),
    "object by setattr": ("def f(): setattr(shop, 'value', 1)", True),
    "default": ("def f(a, found={}): found[a] = 1", True),
    "default after a star": ("def f(*, found=[]): found.append(1)", True),
    "property of another object": ("def f(self, other): other.__dict__[self.name] = 1", True),
    "attribute that a branch reads": ("def f(self):\n    if not self.x: self.x = 1", True),
    "attribute that may be missing": (
        "def f(self):\n    if not hasattr(self, 'x'): self.x = 1",
        True,
    ),
    "attribute that an error shows": (
        "def f(self):\n    try: return self.x\n    except AttributeError: self.x = 1",
        True,
    ),
    "item that an attribute lacks": (
        "def f(self, a):\n    if a not in self.x: self.x[a] = 1",
        True,
    ),
    "attribute": ("def f(self, x): self.x = x", False),
    "other attribute": ("def f(self, x):\n    if self.y: self.x = x", False),
    "local list": ("def f():\n    x = []\n    x.append(1)", False),
    "argument": ("def f(x): x.append(1)", False),
    "plain default": ("def f(x=None): x.y = 1", False),
    "function inside": ("def f():\n    x = []\n    def g(): x.append(1)", False),
    "text": ("def f(): return ', '.join('a')", False),
}


@pytest.mark.parametrize(("source", "keeps"), FUNCTIONS.values(), ids=FUNCTIONS)
def test_functions_that_keep_state(source, keeps):
    assert keeps_state(ast.parse(source).body[0]) == keeps


@pytest.mark.parametrize("name", ["lru_cache(1)", "a.cached_property", "memoize", "lazy", "once"])
def test_decorators_that_keep_results(name):
    assert caches_results(ast.parse(f"@{name}\ndef f(): pass").body[0])
    assert not caches_results(ast.parse("@property\ndef f(): pass").body[0])
