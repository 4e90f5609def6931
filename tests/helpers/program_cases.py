"""Sources of test files that start other programs in many ways; see `test_started_programs`."""

from dataclasses import dataclass

# Functions of all cases. They start nothing themselves: their callers give them the start.
CHILD = """\
import os
from shop.core import f

kept = {}

def result(begin):
    child = begin()
    if not child:
        os._exit(f())
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def result_of(process):
    process.start()
    process.join()
    return process.exitcode

def leave():
    os._exit(f())

def keep(key, compute):
    if key not in kept:
        kept[key] = compute()
    return kept[key]

def computed_name(module):
    return getattr(module, "g" + "o")
"""
# The changed module. The change moves its second function down.
CORE = """\
import os

def f():
    return 1

def child():
    process = os.fork()
    if not process:
        os._exit(f())
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
"""
CHANGE = ("    return 1\n", "    x = 2\n" * 9 + "    return x\n")
FILES = {
    "pytest.ini": "[pytest]\npythonpath = . tests\n",
    "shop/__init__.py": "",
    "shop/core.py": CORE,
    "tests/child.py": CHILD,
    "tests/test_direct.py": "from shop.core import f\n\ndef test_direct():\n    f()\n",
}


@dataclass(frozen=True)
class Case:
    """Sources in which CASE is the name of the case.

    Parameters
    ----------
    imports : str
        Statements at the top of the test file.
    body : str
        Body of ``test_broken``; an expression is asserted to be 1.
    helper : str
        Source of ``CASE_helper``, a helper of the tests.
    second : str
        Source of ``CASE_second``, another helper.
    user : str
        Source of ``shop.CASE_user``, a module of the product.
    before : str
        A decorator of ``test_broken``.
    parameters : str
        Parameters of ``test_broken``.
    twice : bool
        True if an earlier test does the same, so that ``test_broken`` uses a kept result.
    apart : bool
        True if ``test_apart`` is selected, too.
    """

    imports: str
    body: str
    helper: str = ""
    second: str = ""
    user: str = ""
    before: str = ""
    parameters: str = ""
    twice: bool = False
    apart: bool = False

    def files(self, name):
        """Return the sources of the case by path."""
        is_expression = "\n" not in self.body
        body = f"assert {self.body} == 1" if is_expression else self.body.replace("\n", "\n    ")
        kinds = ("first", "broken") if self.twice else ("broken",)
        tests = "".join(
            f"{self.before}\ndef test_{kind}({self.parameters}):\n    {body}\n\n" for kind in kinds
        )
        files = {
            f"tests/test_{name}.py": "import os, pytest\nfrom child import *\n"
            f"{self.imports}\n\n{tests}def test_apart():\n    assert True\n",
            f"tests/{name}_helper.py": self.helper,
            f"tests/{name}_second.py": self.second,
            f"shop/{name}_user.py": self.user,
        }
        return {path: text.replace("CASE", name) for path, text in files.items()}


GO = "from os import fork as go\n"
CODE = "import os\nfrom child import *\n\ndef code():\n    return result(os.fork)\n"
CASES = {
    "function_of_a_module": Case("", "result(os.fork)"),
    "other_name_of_a_module": Case("import os as o", "result(o.fork)"),
    "other_name_of_a_function": Case(GO, "result(go)"),
    "getattr": Case("", "result(getattr(os, 'fork'))"),
    "string_in_a_constant": Case("KIND = 'fork'", "result(getattr(os, KIND))"),
    "name_of_a_helper": Case("from CASE_helper import go", "result(go)", GO),
    "third_name": Case(
        "from CASE_second import run as start",
        "result(start)",
        GO,
        "from CASE_helper import go as run\n",
    ),
    "all_names_of_a_helper": Case("from CASE_helper import *", "result(go)", GO),
    "attribute_of_a_helper": Case("import CASE_helper as helper", "result(helper.go)", GO),
    "helper_that_is_passed_on": Case(
        "import CASE_helper as helper", "result(computed_name(helper))", GO
    ),
    "name_of_the_product": Case("from shop.CASE_user import go", "result(go)", user=GO),
    "class_of_the_product": Case(
        "from shop.CASE_user import Worker",
        "result_of(Worker(target=leave))",
        user="from multiprocessing.context import ForkProcess\n\n"
        "class Worker(ForkProcess):\n    pass\n",
    ),
    "function_of_the_changed_module": Case("from shop.core import child", "child()"),
    "assignment": Case("from CASE_helper import run", "result(run)", "import os\nrun = os.fork\n"),
    "default": Case(
        "from CASE_helper import child",
        "child()",
        "import os\nfrom child import result\n\n"
        "def child(start=os.fork):\n    return result(start)\n",
    ),
    "attribute_of_a_class": Case(
        "from CASE_helper import Kept",
        "result(Kept.run)",
        "import os\n\nclass Kept:\n    run = os.fork\n",
    ),
    "subclass": Case(
        "from CASE_helper import Worker",
        "result_of(Worker(target=leave))",
        "from multiprocessing.context import ForkProcess\n\nclass Worker(ForkProcess):\n    pass\n",
    ),
    "subclass_that_another_class_may_know": Case(
        "from CASE_helper import known",
        "result_of(known[-1](target=leave))",
        "from multiprocessing.context import ForkProcess\nknown = []\n\n"
        "class Knowing:\n    def __init_subclass__(cls):\n        known.append(cls)\n\n"
        "class Worker(ForkProcess, Knowing):\n    pass\n",
        apart=True,
    ),
    "context": Case(
        "import multiprocessing as mp", "result_of(mp.get_context('fork').Process(target=leave))"
    ),
    "bound_method_of_a_harmless_function": Case(
        "import multiprocessing as mp",
        "result_of(mp.cpu_count.__self__.get_context('f' + 'ork').Process(target=leave))",
    ),
    "all_names_of_a_library": Case(
        "from multiprocessing import *",
        "result_of(get_context('fork').Process(target=leave))",
        apart=True,
    ),
    "pool_of_processes": Case(
        "import multiprocessing\nfrom concurrent import futures",
        "with futures.ProcessPoolExecutor(1, multiprocessing.get_context('fork')) as pool:\n"
        "    assert pool.submit(f).result() == 1",
    ),
    "computed_name": Case(GO, "result(globals()['g' + 'o'])"),
    "import_in_a_function": Case(
        "", "from os import fork as go\nassert result(go) == 1", parameters="go=None"
    ),
    "variable_of_a_comprehension": Case(GO, "[0 for go in ()]\nassert result(go) == 1"),
    "variable_of_a_lambda": Case(GO, "(lambda go: 0)(1)\nassert result(go) == 1"),
    "mark": Case(
        "",
        "result(start)",
        before="@pytest.mark.parametrize('start', [os.fork])",
        parameters="start",
    ),
    "decorator_of_the_project": Case(
        "from CASE_helper import call, register\n\n@register(os.fork)\ndef nothing():\n    pass",
        "result(call())",
        "kept = []\n\ndef register(function):\n    kept.append(function)\n"
        "    return lambda other: other\n\ndef call():\n    return kept[0]\n",
        apart=True,
    ),
    "lambda_of_a_module": Case(
        "from CASE_helper import run",
        "run()",
        "import os\nfrom child import *\nrun = lambda: result(os.fork)\n",
        apart=True,
    ),
    "function_of_one_line": Case(
        "from CASE_helper import run",
        "run()",
        "import os\nfrom child import *\ndef run(): return result(os.fork)\n",
        apart=True,
    ),
    "function_of_a_helper": Case("from CASE_helper import code", "code()", CODE),
    "import_of_a_helper": Case(
        "from CASE_helper import X", "X", f"{CODE}\nX = code()\n", apart=True
    ),
    "import_that_calls": Case(
        "from CASE_helper import X",
        "X",
        "import os\nfrom child import *\nX = result(os.fork)\n",
        apart=True,
    ),
    "import_of_a_helper_in_a_test": Case(
        "", "__import__('CASE_helper').X", f"{CODE}\nX = code()\n", twice=True, apart=True
    ),
    "fixture": Case(
        "@pytest.fixture\ndef code():\n    return result(os.fork)",
        "code",
        parameters="code",
        apart=True,
    ),
    "fixture_of_the_session": Case(
        "@pytest.fixture(scope='session')\ndef code():\n    return result(os.fork)",
        "code",
        parameters="code",
        twice=True,
        apart=True,
    ),
    "fixture_by_its_name": Case(
        "@pytest.fixture(scope='session')\ndef code_CASE():\n    return result(os.fork)",
        "request.getfixturevalue('_'.join(['code', 'CASE']))",
        parameters="request",
        twice=True,
        apart=True,
    ),
    "cache": Case(
        "from CASE_helper import code",
        "code()",
        CODE.replace("\ndef", "\nfrom functools import lru_cache\n\n@lru_cache\ndef"),
        twice=True,
        apart=True,
    ),
    "attribute_that_a_method_fills": Case(
        "from CASE_helper import kept",
        "kept.get()",
        f"{CODE}\nclass Kept:\n    value = None\n\n    def get(self):\n"
        "        if self.value is None:\n            self.value = code()\n"
        "        return self.value\n\nkept = Kept()\n",
        twice=True,
    ),
    "dictionary_of_another_helper": Case(
        "from CASE_helper import code", "keep('CASE', code)", CODE, twice=True
    ),
    "method_that_is_cached": Case(
        "from CASE_helper import Kept",
        "Kept.get()",
        "import os\nfrom child import *\nfrom functools import cache\n\nclass Kept:\n"
        "    @classmethod\n    @cache\n    def get(cls):\n        return result(os.fork)\n",
        twice=True,
        apart=True,
    ),
}
# Sources that mention starts in a way that starts nothing. No test is selected for them.
HARMLESS = {
    "import_alone": "import subprocess, multiprocessing.pool, joblib",
    "call_of_a_harmless_function": "import multiprocessing as mp\n"
    "mp.set_start_method('fork', force=True)",
    "harmless_condition": "import multiprocessing, sys\n"
    "FEW = multiprocessing.cpu_count() < 2\nHERE = sys.executable is not None\n"
    "@pytest.mark.skipif(not hasattr(os, 'fork'), reason='no fork')\ndef test_fork():\n    pass",
    "constants": "import subprocess\n"
    "ENDS = {'x': (subprocess.PIPE, subprocess.CalledProcessError)}",
    "parameter": "def g(subprocess=True):\n    return subprocess\n\ng()",
    "variable": "def g():\n    fork = 1\n    return fork\n\ng()",
    "data": "NAMES = {'joblib': 1, 'subprocess': 2}",
    "names_of_the_module": "from os import fork as go\n__all__ = ['go']",
}
TESTS = CASES | {name: Case(text, "f()") for name, text in HARMLESS.items()}
