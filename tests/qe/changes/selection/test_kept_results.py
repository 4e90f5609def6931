"""Functions that keep a result of the changed function, which only the first caller runs."""

import pytest

from hidden_callers import ONE, Case, assert_selected, first_caller, record

USE = "from shop.CASE import f\n\n"
KEPT = f"{USE}class Kept:\n    value = None\n\n    def get(self):\n"
METHOD = "        return self.value\n\nget = Kept().get\n"
# The changed module has the class, too.
CLASS = (
    f"{ONE}\nclass Kept:\n    value = None\n\n    def missing(self):\n"
    "        return self.value is None\n\n    def fill(self, value):\n        self.value = value\n"
)

CASES = {
    "place_in_a_match": first_caller(
        f"{KEPT}        match self.value:\n            case None:\n"
        f"                self.value = f()\n{METHOD}"
    ),
    "error_that_is_suppressed": first_caller(
        f"from contextlib import suppress\n{USE}class Kept:\n    def get(self):\n"
        "        with suppress(AttributeError):\n            return self.value\n"
        f"        self.value = f()\n{METHOD}"
    ),
    "attribute_of_a_frozen_object": first_caller(
        f"{KEPT}        if self.value is None:\n"
        f"            object.__setattr__(self, 'value', f())\n{METHOD}"
    ),
    "context_variable": first_caller(
        f"from contextvars import ContextVar\n{USE}kept = ContextVar('kept', default=None)\n\n"
        "def get():\n    if kept.get() is None:\n        kept.set(f())\n    return kept.get()\n"
    ),
    "helpers_that_ask_and_fill": first_caller(
        f"{USE}class Kept:\n    value = None\n\n    def missing(self):\n"
        "        return not self.there()\n\n    def there(self):\n"
        "        return self.value is not None\n\n    def fill(self):\n        self.fill_now()\n\n"
        "    def fill_now(self):\n        self.value = f()\n\n    def get(self):\n"
        f"        if self.missing():\n            self.fill()\n{METHOD}"
    ),
    "helpers_in_another_file": Case(
        **vars(
            first_caller(
                "from shop.CASE import Kept, f\n\nkept = Kept()\n\ndef get():\n"
                "    if kept.missing():\n        kept.fill(f())\n    return kept.value\n"
            )
        )
        | {"module": CLASS}
    ),
    "value_on_one_line": first_caller(
        f"{USE}kept = {{}}\n\ndef get():\n    kept[1] = kept.get(1) or f()\n    return kept[1]\n"
    ),
    "branch_on_one_line": first_caller(
        f"{USE}kept = []\n\ndef get():\n    if not kept: kept.append(f())\n    return kept[0]\n"
    ),
    "generator_that_continues": first_caller(
        f"{USE}def values():\n    value = f()\n    while True:\n        yield value\n\n"
        "kept = values()\n\ndef get():\n    return next(kept)\n"
    ),
    "file_of_results": first_caller(
        f"import os, pathlib, tempfile\n{USE}def get():\n"
        "    path = pathlib.Path(tempfile.gettempdir(), f'kept_{os.getpid()}')\n"
        "    if not path.exists():\n        path.write_text(str(f()))\n"
        "    return int(path.read_text())\n"
    ),
}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Return a project with the files of all cases, its index and its coverage."""
    pytest.importorskip("coverage")
    folder = tmp_path_factory.mktemp("kept")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder))
        return record(folder / "project", CASES)


@pytest.mark.parametrize("name", CASES)
def test_later_callers_of_a_function_that_keeps_results(recorded, name):
    assert_selected(recorded, name)
