"""Functions inside other functions whose variables end with the call of the outer function."""

import pytest

from kept_functions import kept_functions

PUT = "    def put():\n        nonlocal x\n        if not x: x = f()\n"
OUTER = f"def outer():\n    x = 0\n{PUT}"

# Source of a module, and True if ``put`` keeps nothing for a later call of anything.
MODULES = {
    "called": (f"{OUTER}    put()\n    return x", True),
    "called twice": (f"{OUTER}    return [put(), put()]", True),
    "calls itself": (OUTER.replace("x = f()", "put()"), True),
    "parameter of the outer function": (f"def outer(x):\n{PUT}    put()", True),
    "returned": (f"{OUTER}    return put", False),
    "stored": (f"{OUTER}    shop.put = put", False),
    "argument": (f"{OUTER}    register(put)", False),
    "decorated": (OUTER.replace("    def", "    @register\n    def"), False),
    "replaced": (f"{OUTER}    put = register(put)", False),
    "called by a function that is returned": (
        f"{OUTER}    def get(): return put()\n    return get",
        False,
    ),
    "called by a lambda": (f"{OUTER}    return lambda: put()", False),
    "called by a generator expression": (f"{OUTER}    return (put() for _ in y)", False),
    "variable that another function reads": (
        f"{OUTER}    def get(): return x\n    put()\n    return get",
        False,
    ),
    "variable that a lambda inside reads": (
        OUTER.replace("x = f()", "shop.get = lambda: x") + "    put()",
        False,
    ),
    "variable of a function further out": (
        "def first():\n    x = 0\n    def outer():\n"
        + "".join(f"    {line}\n" for line in PUT.splitlines())
        + "        put()\n    return outer",
        False,
    ),
    "variable that the outer function shares": (
        "def first():\n    x = 0\n    def outer():\n        nonlocal x\n        x = 0\n"
        + "".join(f"    {line}\n" for line in PUT.splitlines())
        + "        put()\n    return outer",
        False,
    ),
    "object that is older than the call": (
        OUTER.replace("x = 0", "x = kept").replace("x = f()", "x[1] = f()") + "    put()",
        False,
    ),
    "outer generator": (f"{OUTER}    yield put()", False),
    "inner generator": (OUTER.replace("x = f()", "x = yield f()") + "    put()", False),
    "outer coroutine": (f"async {OUTER}    put()", False),
    "method": ("def outer():\n    x = 0\n    class A:\n    " + PUT.replace("\n", "\n    "), False),
    "frame": (f"{OUTER}    put()\n    return sys._getframe()", False),
}


@pytest.mark.parametrize(("source", "is_confined"), MODULES.values(), ids=MODULES)
def test_functions_that_keep_nothing_after_the_outer_call(source, is_confined):
    assert ("put" in kept_functions(source)) != is_confined
