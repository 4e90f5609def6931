"""The C files of wasm/ use each other in one direction, from the kernels down to shared helpers.

A unit is a C file with the header of the same name, such as ``attention/mask.c`` and ``mask.h``.
One unit uses another if it includes its header or calls one of its functions.
"""

import os
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from checkout import ROOT

WASM = ROOT / "wasm"
FILES = sorted([*WASM.rglob("*.c"), *WASM.rglob("*.h")])

# Definitions and declarations of functions begin in the first column.
DEFINITION = re.compile(r"^\w[\w *]*?\b(\w+)\([^;{}]*\) \{", re.MULTILINE)
DECLARATION = re.compile(r"^\w[\w *]*?\b\w+\([^;{}]*\);", re.MULTILINE)
CALL = re.compile(r"\b(\w+)\(")
INCLUDE = re.compile(r'^#include "(.+)"', re.MULTILINE)


def read(path):
    """Return a C file's text without comments and without declarations of functions."""
    return DECLARATION.sub("", re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.DOTALL))


def unit(path, root):
    """Return a unit's name, such as ``attention/mask``, from the path of either of its files."""
    return path.relative_to(root).with_suffix("").as_posix()


def uses(root, files):
    """Return, for each unit, the other units that it uses."""
    text = {path: read(path) for path in files}
    defined = {path: set(DEFINITION.findall(text[path])) for path in files}
    exported = {
        (unit(path, root).startswith("reference/"), name): unit(path, root)
        for path in files
        for name in defined[path]
        if not re.search(rf"^(static|INLINE)\b[^;{{}}]*\b{name}\(", text[path], re.MULTILINE)
    }
    found = {unit(path, root): set() for path in files}
    for path in files:
        own = unit(path, root)
        for header in INCLUDE.findall(text[path]):
            found[own].add(unit(Path(os.path.normpath(path.parent / header)), root))
        # If two files define a name, files below reference/ call the one that lies in reference/.
        is_reference = own.startswith("reference/")
        for name in set(CALL.findall(text[path])) - defined[path]:
            callee = exported.get((is_reference, name)) or exported.get((False, name))
            if callee:
                found[own].add(callee)
        found[own].discard(own)
    return found


def find_circle(graph):
    """Return a circle of units, the first of them again at the end; empty if there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_no_circle_of_c_files():
    graph = uses(WASM, FILES)
    assert "shared/tile" in graph["attention/forward"]
    assert "attention/mask" in graph["attention/forward"]
    circle = find_circle(graph)
    assert not circle, "these C files use each other: " + " -> ".join(reversed(circle))


def test_shared_files_use_only_shared_files():
    graph = uses(WASM, FILES)
    for name in graph:
        if name.startswith("shared/"):
            assert all(used.startswith("shared/") for used in graph[name]), name


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("int f(void) { return g(); }", "int g(void) { return f(); }"),
        (
            '#include "other.h"\nint f(void) { return 0; }',
            "int g(int x,\n      int y) {\n    f();\n}",
        ),
    ],
    ids=["calls", "an include and a call"],
)
def test_a_circle_is_found(tmp_path, one, other):
    (tmp_path / "one.c").write_text(one)
    (tmp_path / "other.c").write_text(other)
    (tmp_path / "other.h").write_text("int g(int x, int y);\n")
    circle = find_circle(uses(tmp_path, sorted(tmp_path.iterdir())))
    assert set(circle) == {"one", "other"}


def test_static_functions_of_the_same_name_do_not_connect_their_files(tmp_path):
    (tmp_path / "one.c").write_text("static int f(void) { return 1; }\nint g(void) { return f(); }")
    (tmp_path / "other.c").write_text(
        "static int f(void) { return 2; }\nint h(void) { return f(); }"
    )
    assert uses(tmp_path, sorted(tmp_path.iterdir())) == {"one": set(), "other": set()}


def test_every_c_file_opens_with_a_comment():
    assert [path for path in FILES if not path.read_text().startswith("/* ")] == []


def test_comments_begin_with_a_verb_or_a_noun():
    """A comment that begins with a question word leaves its subject to be guessed."""
    begins = re.compile(r"/\*\s*(?:How|If|What|When|Where|Whether|Which|Who|Why)\b.*")
    found = [(path.name, m[0]) for path in FILES for m in begins.finditer(path.read_text())]
    assert found == []
