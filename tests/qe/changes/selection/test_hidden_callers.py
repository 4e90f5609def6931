"""Tests that depend on a function although coverage does not show that they run it."""

import pytest

from flashwasm.qe.changes.functions.function_lines import function_lines_of
from hidden_callers import ONE, Case, assert_selected, first_caller, record

# Source of a program, for tests that start one.
PROGRAM = f"{ONE}\nif __name__ == '__main__':\n    raise SystemExit(f() - 1)\n"


def through_helper(helper, get="from CASE_helper import get", call="get()"):
    """Return a case in which a helper of the tests keeps what the first test computed."""
    first = f"def test_first():\n    {call}\n\ndef test_broken():\n    assert {call} == 1\n"
    return Case(f"{get}\n\n{first}", helper=f"from shop.CASE import f\n{helper}")


def first_use(expression, user):
    """Return a case in which a place calls a function if it has no value yet."""
    tests = f"def test_first():\n    {expression}\n\n"
    tests += f"def test_broken():\n    assert {expression} == 1\n"
    return Case(
        f"from shop import CASE_user as user\n\n{tests}", f"from shop.CASE import f\n{user}"
    )


def leftover(user):
    """Return a case in which an object outlives its test only after the change.

    No recording of living objects shows such a dependency. ``use`` keeps a text on an object and
    then runs the changed function, ``last`` keeps another text without it, and ``titled`` calls the
    method on an object that has a text.
    """
    tests = (
        "from shop.CASE_user import last, titled, use\n\ndef test_first():\n    use('first')\n\n"
        "def test_titled():\n    titled()\n\ndef test_broken():\n    assert last() == 'last'\n"
    )
    direct = "from shop.CASE_user import use\n\ndef test_direct():\n    use('direct')\n"
    return Case(tests, f"from shop.CASE import f\n{user}", direct=direct)


def asserting(expression, imports=""):
    """Return the source of a test with one assertion."""
    return f"{imports}\n\ndef test_broken():\n    assert {expression}\n"


CASES = {
    "program_of_the_project": Case(
        asserting("run('shop.CASE') == 0", "from shop.CASE_user import run"),
        "from subprocess import call as start\nimport sys\n\n"
        "def run(name):\n    return start([sys.executable, '-m', name])\n",
        PROGRAM,
    ),
    "process_of_the_project": Case(
        asserting("run(f) == 1", "from shop.CASE import f\nfrom shop.CASE_user import run"),
        "import os\n\ndef run(g):\n    child = os.fork()\n"
        "    if not child:\n        os._exit(g())\n"
        "    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])\n",
    ),
    "source_is_executed": Case(
        "def test_broken():\n    space = {}\n    exec(open('shop/CASE.py').read(), space)\n"
        "    assert space['f']() == 1\n"
    ),
    "source_is_read": Case(
        asserting("'return 1' in open(shop.CASE.__file__).read()", "import shop.CASE")
    ),
    "source_is_inspected": Case(
        asserting("'1' in inspect.getsource(f)", "import inspect\nfrom shop.CASE import f")
    ),
    "code_object": Case(asserting("1 in f.__code__.co_consts", "from shop.CASE import f")),
    "line_number": Case(
        "import traceback\nfrom shop.CASE import g\n\ndef test_broken():\n    try:\n        g()\n"
        "    except ValueError:\n        assert 'line 5, in g' in traceback.format_exc()\n",
        module=f"{ONE}\ndef g():\n    raise ValueError\n",
        edit=("    return 1\n", "    x = 1\n    return x\n"),
    ),
    "generator_that_does_not_start": Case(
        asserting("inspect.isgenerator(f())", "import inspect\nfrom shop.CASE import f"),
        module="def f():\n    yield 1\n",
        edit=("yield 1", "return [1]"),
        direct="from shop.CASE import f\n\ndef test_direct():\n    list(f())\n",
    ),
    "docstring_that_a_line_moves_down": Case(
        asserting("f.__doc__", "from shop.CASE import f"),
        module="def f():\n    'Text.'\n    return 1\n",
        edit=("    'Text.'", "    x = 1\n    'Text.'"),
    ),
    "import_in_a_function": Case(
        "def test_first():\n    from shop import CASE_user\n\n"
        "def test_broken():\n    from shop import CASE_user\n    assert CASE_user.X == 1\n",
        "from shop.CASE import f\nX = f()\n",
    ),
    "fixture_by_its_name": Case(
        "import pytest\nfrom shop.CASE import f\n\n@pytest.fixture(scope='session')\n"
        "def kept_CASE():\n    return f()\n\n"
        "def test_first(request):\n    request.getfixturevalue('kept_CASE')\n\n"
        "def test_broken(request):\n    assert request.getfixturevalue('kept_CASE') == 1\n"
    ),
    "no_recording": Case(
        "import sys\nfrom shop.CASE import f\n\ndef test_broken():\n    old = sys.gettrace()\n"
        "    sys.settrace(None)\n    result = f()\n    sys.settrace(old)\n    assert result == 1\n"
    ),
    "skip_in_the_recording": Case(
        "import os, pytest\nfrom shop.CASE import f\n\n@pytest.fixture\ndef ready():\n"
        "    return 1\n\ndef test_broken(ready):\n    if not os.path.exists('service'):\n"
        "        pytest.skip('no service')\n    assert f() == 1\n"
    ),
    "case_that_was_left_out": Case(
        "import pytest\nfrom shop.CASE import f\n\n"
        "@pytest.mark.parametrize('x', ['runs', 'left out'])\ndef test_broken(x):\n"
        "    assert x == 'runs' or f() == 1\n"
    ),
    "attribute_of_an_object": first_caller(
        "from shop.CASE import f\n\nclass Kept:\n    value = None\n\n    def get(self):\n"
        "        if self.value is None:\n            self.value = f()\n"
        "        return self.value\n\nget = Kept().get\n"
    ),
    "dictionary_of_a_module": first_caller(
        "from shop.CASE import f\nfound = {}\n\ndef get():\n    if not found:\n"
        "        found[1] = f()\n    return found[1]\n"
    ),
    "attribute_of_a_function": first_caller(
        "from shop.CASE import f\n\ndef get():\n    if not hasattr(get, 'value'):\n"
        "        get.value = f()\n    return get.value\n"
    ),
    "list_of_a_closure": first_caller(
        "from shop.CASE import f\n\ndef single(function):\n    results = []\n\n    def inner():\n"
        "        if not results:\n            results.append(function())\n"
        "        return results[0]\n    return inner\n\nget = single(f)\n"
    ),
    "statement_outside_of_its_loop": Case(
        "import shop.CASE\n\ndef test_broken():\n    assert shop.CASE\n",
        module="def f(x=0):\n    while x:\n        break\n    return 1\n",
        edit=("while x", "if x"),
    ),
    "warning_of_the_compiler": Case(
        "import shop.CASE\n\ndef test_broken():\n    assert shop.CASE\n",
        edit=("return 1", "return 1 is 1"),
    ),
    "place_of_a_source": Case(
        "from importlib.util import find_spec\n\ndef test_broken():\n"
        "    assert 'return 1' in open(find_spec('shop.CASE').origin).read()\n"
    ),
    "thread_that_is_not_followed": Case(
        asserting("run(f) == 1", "from shop.CASE import f\nfrom shop.CASE_user import run"),
        "import _thread, queue\n\ndef run(g):\n    found = queue.Queue()\n"
        "    _thread.start_new_thread(lambda: found.put(g()), ())\n    return found.get()\n",
    ),
    "product_that_stops_the_recording": Case(
        asserting("run(f) == 1", "from shop.CASE import f\nfrom shop.CASE_user import run"),
        "import sys\n\ndef run(g):\n    old = sys.gettrace()\n    sys.settrace(None)\n"
        "    result = g()\n    sys.settrace(old)\n    return result\n",
    ),
    "cache_of_a_helper": through_helper(
        "from functools import lru_cache\n\n@lru_cache\ndef get():\n    return f()\n"
    ),
    "dictionary_of_a_helper": through_helper(
        "found = {}\n\ndef get():\n    if not found:\n        found[1] = f()\n    return found[1]\n"
    ),
    "import_of_a_helper": through_helper("X = f()\n", "", "__import__('CASE_helper').X"),
    "cache_of_a_test_file": through_helper(
        "",
        "from functools import cache\nfrom shop.CASE import f\n\n@cache\ndef get():\n"
        "    return f()\n",
    ),
    "call_of_a_cache": first_use(
        "user.get()", "from functools import lru_cache\nget = lru_cache(maxsize=None)(f)\n"
    ),
    "default_of_a_dictionary": first_use(
        "user.kept[1]", "from collections import defaultdict\nkept = defaultdict(f)\n"
    ),
    "lambda_of_a_dictionary": first_use(
        "user.kept[1]",
        "from collections import defaultdict\nkept = defaultdict(\n    lambda: f())\n",
    ),
    "missing_key": first_use(
        "user.kept[1]",
        "class Kept(dict):\n    def __missing__(self, key):\n        self[key] = value = f()\n"
        "        return value\n\nkept = Kept()\n",
    ),
    "missing_attribute": first_use(
        "user.kept.value",
        "class Kept:\n    def __getattr__(self, name):\n        value = f()\n"
        "        setattr(self, name, value)\n        return value\n\nkept = Kept()\n",
    ),
    "missing_name_of_a_module": first_use(
        "user.value",
        "def __getattr__(name):\n    if name != 'value':\n        raise AttributeError(name)\n"
        "    globals()[name] = value = f()\n    return value\n",
    ),
    "descriptor": first_use(
        "user.kept.value",
        "class Once:\n    def __init__(self, get):\n        self.get = get\n\n"
        "    def __get__(self, owner, kind):\n"
        "        value = owner.__dict__[self.get.__name__] = self.get(owner)\n"
        "        return value\n\n"
        "class Kept:\n    @Once\n    def value(self):\n        return f()\n\nkept = Kept()\n",
    ),
    "object_that_the_change_returns_to_a_pool": leftover(
        "free = []\n\nclass Kept:\n    text = None\n\n    def keep(self, text):\n"
        "        if self.text is None:\n            self.text = text\n        return self.text\n\n"
        "def take():\n    return free.pop() if free else Kept()\n\n"
        "def use(text):\n    kept = take()\n    kept.keep(text)\n"
        "    if f() > 1:\n        free.append(kept)\n\n"
        "def titled():\n    kept = Kept()\n    kept.text = 'title'\n    kept.keep('')\n\n"
        "def last():\n    return take().keep('last')\n"
    ),
    "object_that_the_change_leaves_to_a_library": leftover(
        "import logging\n\nclass Kept(logging.Handler):\n    text = None\n\n"
        "    def emit(self, record):\n"
        "        if self.text is None:\n            self.text = record.msg\n\n"
        "def logged(text, kept):\n    logger = logging.getLogger('CASE')\n"
        "    logger.addHandler(kept)\n    logger.warning(text)\n    return logger\n\n"
        "def use(text):\n    kept = Kept()\n    logger = logged(text, kept)\n"
        "    if f() < 2:\n        logger.removeHandler(kept)\n\n"
        "def titled():\n    kept = Kept()\n    kept.text = 'title'\n"
        "    logged('', kept).removeHandler(kept)\n\n"
        "def last():\n    kept = Kept()\n    logger = logged('last', kept)\n"
        "    text = logger.handlers[0].text\n    logger.removeHandler(kept)\n    return text\n"
    ),
}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Return a project with the files of all cases, its index and its coverage."""
    pytest.importorskip("coverage")
    left_out = "--deselect=tests/test_case_that_was_left_out.py::test_broken[left out]"
    return record(tmp_path_factory.mktemp("project"), CASES, left_out)


@pytest.mark.parametrize("name", CASES)
def test_a_dependency_that_coverage_does_not_show(recorded, name):
    assert_selected(recorded, name)


def test_a_parameter_is_no_name_of_a_function_whose_results_are_kept():
    inside = function_lines_of("def keep(f):\n    return lru_cache(None)(f)\n")
    outside = function_lines_of("kept = lru_cache(None)(shop.g)\n")
    assert inside.wrapped == set()
    assert outside.wrapped == {"g"}
