"""Functions that may keep results for later callers."""

import ast

import pytest

from flashwasm.qe.changes.functions.kept_state import caches_results, keeps_state

# Source of a function, and True if it may keep results.
FUNCTIONS = {
    "global name": ("def f():\n    global x\n    x = 1", True),
    "closure": ("def f():\n    nonlocal x\n    x = 1", True),
    "cache": ("def f(): return _cache[1]", True),
    "item of a module's dictionary": ("def f():\n    if not found: found[1] = 2", True),
    "list of a module": ("def f(): return found or found.append(1)", True),
    "attribute of itself": ("def f():\n    if not f.value: f.value = 1", True),
    "class": ("def f(cls):\n    if not cls.value: cls.value = 1", True),
    "class of an object": ("def f(self): self.__class__.value = 1", True),
    "object by setattr": (
        "def f():\n    if not hasattr(shop, 'value'): setattr(shop, 'value', 1)",
        True,
    ),
    "default": ("def f(a, found={}):\n    if not found: found[a] = 1", True),
    "default after a star": ("def f(*, found=[]): return found or found.append(1)", True),
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
    "copy of what is kept": (
        "def f(a):\n    x = found.get(a)\n    if x is None: found[a] = x = 1",
        True,
    ),
    "copy of an attribute": ("def f(self):\n    x = self.x\n    if not x: self.x = 1", True),
    "value that is restored": ("def f():\n    x = shop.x\n    shop.x = 1\n    shop.x = x", False),
    "only written": ("def f(): found.append(1)", False),
    "standard library": ("def f():\n    if sys.stdout: sys.stdout = 1", False),
    "counter": ("def f(self):\n    self.x += 1\n    if self.x: return 2", False),
    "new object": ("def __init__(self):\n    if not self.x: self.x = 1", False),
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
