"""Functions that may keep results for later callers."""

import ast
import sys

import pytest

from flashwasm.qe.changes.functions.function_body import FunctionBody
from flashwasm.qe.changes.functions.kept_state import caches_results
from kept_functions import kept_functions

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
    "match": ("def f(self):\n    match self.x:\n        case None: self.x = 1", True),
    "guard of a match": ("def f(self):\n    match 1:\n        case 1 if self.x: self.x = 1", True),
    "loop": ("def f():\n    for x in found: return x\n    found.append(1)", True),
    "while": ("def f():\n    while not found: found.append(1)", True),
    "comprehension": ("def f(): [found.add(1) for x in y if x not in found]", True),
    "error that is ignored": (
        "def f(self):\n    try: self.x\n    except AttributeError: pass\n    self.x = 1",
        True,
    ),
    "conditional expression": ("def f(self): self.x = 1 if self.x is None else self.x", True),
    "copy of a copy": (
        "def f():\n    a = found\n    b = a.get(1)\n    if b is None: found[1] = 2",
        True,
    ),
    "annotated copy": ("def f(self):\n    x: int = self.x\n    if not x: self.x = 1", True),
    "unpacked copy": ("def f(self):\n    x, y = self.x, 1\n    if not x: self.x = 1", True),
    "copy in a condition": ("def f(self):\n    if not (x := self.x): self.x = 1", True),
    "attribute by setattr": (
        "def f(self):\n    if not self.x: setattr(self, 'x', 1)",
        True,
    ),
    "attribute of super": (
        "def f(self):\n    if not self.x: super().__setattr__('x', 1)",
        True,
    ),
    "attribute in a dictionary": (
        "def f(self):\n    if not self.x: vars(self)['x'] = 1",
        True,
    ),
    "attribute that is deleted": ("def f(self):\n    if self.x: del self.x", True),
    "queue": ("def f():\n    if found.empty(): found.put(1)", True),
    "environment": ("def f():\n    if 'X' not in os.environ: os.environ['X'] = g()", True),
    "file": (
        "def f(path):\n    if not path.exists():\n        with open(path, 'w') as file: pass",
        True,
    ),
    "file that is read": (
        "def f(path):\n    if path.exists():\n        with open(path) as file: pass",
        False,
    ),
    "sum of results": ("def f(self):\n    if not self.x: self.x += g()", True),
    "attribute of an argument": ("def f(x):\n    if not x.y: x.y = 1", True),
    "attribute of an alias": ("def f():\n    x = shop\n    if not x.y: x.y = 1", True),
    "item of an argument": ("def f(found):\n    if not found: found[1] = 2", True),
    "function that replaces itself": ("def f(self): self.f = lambda: 1", True),
    "helper that fills": (
        "def f(self):\n    if not self.x: self.g()\ndef g(self): self.x = 1",
        True,
    ),
    "helper that sets a global name": (
        "def f():\n    if not x: g()\ndef g():\n    global x\n    x = 1",
        True,
    ),
    "helper that asks": (
        "def f(self):\n    if self.g(): self.x = 1\ndef g(self): return not self.x",
        True,
    ),
    "helper that fills something else": (
        "def f(self):\n    if not self.x: self.g()\ndef g(self): self.y = 1",
        False,
    ),
    "new list": ("def f():\n    x = []\n    if not x: x.append(1)", False),
    "new object in a local name": ("def f():\n    x = Shop()\n    if not x.y: x.y = 1", False),
    "further arguments": ("def f(**options):\n    if not options: options['x'] = 1", False),
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
if sys.version_info >= (3, 11):
    FUNCTIONS["group of errors"] = (
        "def f(self):\n    try: self.x\n    except* AttributeError: self.x = 1",
        True,
    )


@pytest.mark.parametrize(("source", "keeps"), FUNCTIONS.values(), ids=FUNCTIONS)
def test_functions_that_keep_state(source, keeps):
    assert bool(kept_functions(source)) == keeps


@pytest.mark.parametrize("name", ["lru_cache(1)", "a.cached_property", "memoize", "lazy", "once"])
def test_decorators_that_keep_results(name):
    assert caches_results(FunctionBody(ast.parse(f"@{name}\ndef f(): pass").body[0]))
    assert not caches_results(FunctionBody(ast.parse("@property\ndef f(): pass").body[0]))


def test_lines_that_only_the_first_caller_runs():
    source = """
def get(self, log):
    log("get")
    if self.value is not None:
        return self.value
    self.value = compute()
    return self.value

def one_line(self):
    self.ready = True
    return self.value or self.fill(compute())

def fill(self, value):
    self.value = value
"""
    kept = kept_functions(source)
    assert kept["get"] == ({4, 5, 6, 7}, set())
    assert kept["one_line"] == (set(), {11})
    assert "fill" not in kept


def test_functions_of_other_files_may_ask_and_fill():
    user = "def get(kept):\n    if kept.missing():\n        kept.fill()"
    other = "def missing(self):\n    return not self.x\ndef fill(self):\n    self.x = 1"
    assert "get" in kept_functions(user, other)
    assert "get" not in kept_functions(user)
    assert "get" not in kept_functions(user, other.replace("self.x = 1", "self.y = 1"))
