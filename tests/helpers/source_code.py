"""Files of the checkout; Python is read as syntax trees: imports, definitions, docstrings."""

import ast
from functools import cache
from pathlib import Path

from checkout import ROOT, SOURCE
from flashwasm.qe.suites.syntax_trees import parse_source

PACKAGE = sorted(SOURCE.rglob("*.py"))
# Packages of Node are not part of this project, and may contain Python.
BENCH = sorted(p for p in (ROOT / "bench").rglob("*.py") if "node_modules" not in p.parts)
WASM_TOOLS = sorted((ROOT / "wasm").rglob("*.py"))
C_FILES = sorted((ROOT / "wasm").rglob("*.c"))
C_HEADERS = sorted((ROOT / "wasm").rglob("*.h"))
TEST_FILES = sorted((ROOT / "tests").rglob("*.py"))

Definition = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@cache
def tree(path):
    return parse_source(path.read_text("utf-8"))


def place(path):
    """Return the path of a file relative to the checkout."""
    return str(Path(path).relative_to(ROOT))


def module_name(path):
    """Return the dotted name under which a file of the package or of bench is imported."""
    base = SOURCE.parent if path.is_relative_to(SOURCE) else ROOT
    parts = path.relative_to(base).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path):
    """Yield the dotted name of each import anywhere in a file."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{place(path)}: a relative import hides the direction"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def import_graph(paths):
    """Return, for each module, the modules among the given files that it imports.

    Python imports a module's packages before the module itself. Those imports are left out.
    """
    files = {module_name(path): path for path in paths}
    return {
        name: {
            other
            for other in imports(path)
            if other in files and not f"{name}.".startswith(f"{other}.")
        }
        for name, path in files.items()
    }


def circles(graph):
    """Return the groups of nodes that reach each other, as sorted lists (Tarjan, 1972)."""
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            group = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(group) > 1:
                found.append(sorted(group))

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def definitions(path):
    """Yield (name, node) for the module, its classes, its functions and its methods."""

    def inside(node, prefix):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, Definition):
                name = f"{prefix}{child.name}"
                yield name, child
                yield from inside(child, f"{name}.")
            else:
                yield from inside(child, prefix)

    yield "module", tree(path)
    yield from inside(tree(path), "")
