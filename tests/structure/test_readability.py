"""Readability of files: their length, their docstrings, and no construct that hides arguments."""

import ast
import inspect
import re

import flashwasm as fw
from flashwasm import qe
from source_code import (
    BENCH,
    C_FILES,
    C_HEADERS,
    PACKAGE,
    TEST_FILES,
    WASM_TOOLS,
    definitions,
    place,
    tree,
)

C = [*C_FILES, *C_HEADERS]
EVERYTHING = [*PACKAGE, *BENCH, *WASM_TOOLS, *TEST_FILES]

MOST_LINES = {".py": 320, ".c": 250, ".h": 250}
MOST_FUNCTION_LINES = 60

# A docstring names the thing or says what it does. These words begin a clause whose subject the
# reader would have to guess.
CLAUSE = re.compile(r"(What|Whether|Which|How|Where|Who|Whose|When|If|That)\b")


def listed(found):
    return "\n" + "\n".join(found)


def test_files_are_short():
    """One noun a file: about 300 lines of Python, 250 of C."""
    found = [
        f"{place(path)}: {lines} lines"
        for path in [*PACKAGE, *BENCH, *WASM_TOOLS, *C]
        if (lines := len(path.read_text("utf-8").splitlines())) > MOST_LINES[path.suffix]
    ]
    assert not found, listed(found)


def test_functions_fit_a_screen():
    found = []
    for path in [*PACKAGE, *BENCH]:
        for name, node in definitions(path):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                has_more = ast.get_docstring(node) and len(node.body) > 1
                start = node.body[1] if has_more else node
                if node.end_lineno - start.lineno >= MOST_FUNCTION_LINES:
                    found.append(f"{place(path)}: {name}")
    assert not found, listed(found)


def test_docstrings_begin_with_a_verb_or_a_noun():
    found = [
        f"{place(path)}: {name}: {docstring.splitlines()[0]}"
        for path in EVERYTHING
        for name, node in definitions(path)
        if (docstring := ast.get_docstring(node)) and CLAUSE.match(docstring)
    ]
    assert not found, listed(found)


def documented(docstring):
    """Return the names under "Parameters" of a numpydoc docstring, or None without such a part."""
    section = re.search(
        r"^Parameters\n-+\n(.*?)(?=^\w[\w ]*\n-{3,}$|\Z)", docstring, re.MULTILINE | re.DOTALL
    )
    if section is None:
        return None
    heads = re.findall(r"^(\*{0,2}\w[\w, *]*?)(?: : .*)?$", section[1], re.MULTILINE)
    return [name.strip(" *") for head in heads for name in head.split(",")]


def parameters_of(node):
    """Return the names that a call may pass: of a function, or of a class's constructor.

    Return None for a class that inherits its constructor.
    """
    if isinstance(node, ast.ClassDef):
        for child in node.body:
            if isinstance(child, ast.FunctionDef) and child.name == "__init__":
                return parameters_of(child)
        return {c.target.id for c in node.body if isinstance(c, ast.AnnAssign)} or None
    a = node.args
    every = [*a.posonlyargs, *a.args, *a.kwonlyargs, *filter(None, [a.vararg, a.kwarg])]
    return {arg.arg for arg in every} - {"self", "cls"}


def test_documented_parameters_exist():
    """A name under "Parameters" is one of the signature's, in private functions too."""
    found = []
    for path in [*PACKAGE, *BENCH]:
        for name, node in definitions(path):
            names = documented(ast.get_docstring(node) or "") if name != "module" else None
            if names is None:
                continue
            signature = parameters_of(node)
            if signature is None or (isinstance(node, ast.FunctionDef) and node.args.kwarg):
                continue  # The test below holds public ones to the signature that callers see.
            found += [f"{place(path)}: {name}: {n}" for n in names if n not in signature]
    assert not found, listed(found)


def public_callables():
    """Yield (name, callable) for the public functions, classes and public methods of classes."""
    for package in (fw, qe):
        for name in package.__all__:
            thing = getattr(package, name)
            if inspect.isfunction(thing):
                yield f"{package.__name__}.{name}", thing
            elif inspect.isclass(thing) and not issubclass(thing, BaseException):
                yield f"{package.__name__}.{name}", thing
                for inner, attribute in vars(thing).items():
                    method = getattr(attribute, "__func__", attribute)
                    if inspect.isfunction(method) and not inner.startswith("_"):
                        yield f"{package.__name__}.{name}.{inner}", method


def test_public_parameters_are_documented():
    """The parameters of a public function are those under "Parameters".

    A method of one parameter, or whose only sentence names all of them, needs no such part. Records
    that the package makes for its callers list "Attributes" instead. Named tuples always do: the
    program that builds the documentation site finds no constructor in them.
    """
    found = []
    for name, function in public_callables():
        docstring = inspect.getdoc(function) or ""
        if hasattr(function, "_fields") and documented(docstring):
            found.append(f"{name} is a named tuple: its fields are Attributes, not Parameters")
        if inspect.isclass(function) and "Attributes\n---" in docstring:
            continue
        stated = set(documented(docstring) or ())
        expected = {p for p in inspect.signature(function).parameters if not p.startswith("_")}
        expected -= {"self", "cls"}
        if not stated and (len(expected) == 1 or expected <= set(re.findall(r"\w+", docstring))):
            continue
        found += [f"{name} lacks {p}" for p in sorted(expected - stated)]
        found += [f"{name} has no {p}" for p in sorted(stated - expected)]
    assert not found, listed(found)


def test_no_call_unpacks_a_literal():
    """`f(*(a, b), c)` hides which argument is which: arguments are passed one by one or by name."""
    found = [
        f"{place(path)}:{node.lineno}"
        for path in [*PACKAGE, *BENCH]
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call)
        and any(
            isinstance(x, ast.Starred) and isinstance(x.value, (ast.Tuple, ast.List))
            for x in node.args
        )
    ]
    assert not found, listed(found)


def test_each_lint_exception_says_why():
    """A `noqa` names its rule and gives its reason behind a dash."""
    found = [
        f"{place(path)}:{number}"
        for path in [*PACKAGE, *BENCH, *WASM_TOOLS]
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if "# noqa" in line and not re.search(r"# noqa: [A-Z0-9, ]+ - \S", line)
    ]
    assert not found, listed(found)


def test_c_knows_nothing_of_python_and_does_not_allocate():
    for path in C:
        text = path.read_text("utf-8")
        assert not re.search(r"Python\.h|\bmalloc\b|\bprintf\b|<stdio|<stdlib", text), place(path)
        if path.name != "simd.h":
            code = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
            assert not re.search(r"__wasm_\w+simd|relaxed", code), (
                f"{place(path)}: only simd.h may know the variants"
            )
