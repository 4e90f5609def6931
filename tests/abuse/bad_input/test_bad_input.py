"""For any argument, a call returns the right result or raises an error that its docstring names."""

import ast
import dataclasses
import inspect
import re
import textwrap

import pytest
from subject import PACKAGES
from table import LEFT_OUT, SUBJECTS
from walker import Walk

import flashwasm as fw

# Names of subjects, in their order, numbered where a function has several plain calls.
IDS = [subject.name for subject in SUBJECTS]
# Classes of the errors that the rows of a function provoke, by the function's name.
RAISED = {name: {row.raises for s in SUBJECTS if s.name == name for row in s.rows} for name in IDS}


@pytest.mark.parametrize("number", range(len(SUBJECTS)), ids=IDS)
def test_each_row_has_its_outcome(number, runtime):
    subject = SUBJECTS[number]
    if subject.once and runtime.variant != "relaxed":
        return
    walk = Walk(subject, runtime).go()
    assert not walk.faults, "\n" + "\n".join(walk.faults)


def checks_arguments(kind):
    """Return True if a public class is made by its users: not an error, a record or an option."""
    if issubclass(kind, (Exception, tuple, dict)):
        return False
    return not dataclasses.is_dataclass(kind) or hasattr(kind, "__post_init__")


def parameters(function):
    """Return the names of the parameters that a caller may give."""
    return [p for p in inspect.signature(function).parameters if p not in {"self", "cls"}]


def public_functions():
    """Return the public functions, classes and methods that take arguments, by name."""
    found = {}
    for package, prefix in ((fw, ""), *((one, f"{name}.") for name, one in PACKAGES.items())):
        for name in package.__all__:
            thing = getattr(package, name)
            if inspect.isfunction(thing):
                found[prefix + name] = thing
            elif inspect.isclass(thing) and checks_arguments(thing):
                found[prefix + name] = thing
                for inner in dir(thing):
                    method = getattr(thing, inner)
                    documented = callable(method) and not inner.startswith("_")
                    if documented and (inspect.isfunction(method) or inspect.ismethod(method)):
                        found[f"{prefix}{name}.{inner}"] = method
    return {name: function for name, function in found.items() if parameters(function)}


FUNCTIONS = {
    name: function for name, function in public_functions().items() if name not in LEFT_OUT
}


def test_what_is_left_out_exists():
    assert LEFT_OUT.keys() <= public_functions().keys()


def test_each_argument_of_each_public_function_has_a_row():
    missing = []
    for name, function in FUNCTIONS.items():
        tried = {row.argument for s in SUBJECTS if s.name == name for row in s.rows}
        tried |= {key for s in SUBJECTS if s.name == name for row in s.rows for key in row.given()}
        names = {p for p in parameters(function) if not p.startswith("_")}
        missing += [f"{name}: no row of {p}" for p in sorted(names - tried)]
    assert not missing, "\n" + "\n".join(missing)


def errors_in(docstring):
    """Return the names of the errors in the section "Raises" of a docstring."""
    section = re.search(
        r"^Raises\n-+\n(.*?)(?=^\w+\n---|\Z)",
        inspect.cleandoc(docstring or ""),
        re.MULTILINE | re.DOTALL,
    )
    return set(re.findall(r"\b[A-Z]\w+", section[1])) if section else set()


def documented(name):
    """Return the errors that a docstring names, or that its class names for every method."""
    found = errors_in(FUNCTIONS[name].__doc__)
    owner = fw
    for part in name.split(".")[:-1]:
        owner = PACKAGES.get(part) or getattr(owner, part)
    if inspect.isclass(owner):
        for kind in owner.__mro__[:-1]:
            if "By every method" in (kind.__doc__ or ""):
                found |= errors_in(kind.__doc__)
    return found


def raised_directly(function):
    """Return the names of the errors that a function's own source raises."""
    if inspect.isclass(function):
        own = vars(function)
        # A dataclass's `__init__` has no source.
        function = own.get("__post_init__") or own.get("__init__")
    if function is None:
        return set()
    tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function))))
    raises = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise) and node.exc]
    return {
        node.func.id for node in raises if isinstance(node, ast.Call) and hasattr(node.func, "id")
    }


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_docstring_names_the_errors(name):
    """Each class that a row provokes, or that the function's own lines raise, stands in it."""
    function = FUNCTIONS[name]
    raised = {kind.__name__ for kind in RAISED.get(name, ()) if kind is not None}
    expected = raised | {n for n in raised_directly(function) if hasattr(fw, n)}
    if "timeout" in parameters(function) and not inspect.isclass(function):
        expected |= {"DeadlineExceeded", "Cancelled"}
    assert not expected - {"TypeError"} - documented(name)


def test_deadlines_and_cancellation_are_documented_together():
    apart = [
        name for name in FUNCTIONS if len({"DeadlineExceeded", "Cancelled"} & documented(name)) == 1
    ]
    assert not apart
