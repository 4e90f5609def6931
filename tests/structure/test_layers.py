"""Imports go down the layers that docs/architecture.md draws, and in no circle."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import flashwasm as fw
from checkout import ROOT, SOURCE
from flashwasm import qe
from flashwasm.qe import changes
from source_code import BENCH, PACKAGE, circles, import_graph, imports, place

ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text("utf-8")


def drawn_layers(heading):
    """Return the boxes of the picture under a heading, as one set of names a row, top row first."""
    section = ARCHITECTURE.split(f"## {heading}\n", 1)[1]
    picture = section.split("```mermaid\n", 1)[1].split("```", 1)[0]
    rows = re.findall(r'^ *\w+\["(.*?)"\]$', picture, re.MULTILINE)
    return [set(re.sub(r"<small>.*?</small>", "", row).split()) for row in rows]


def levels(layers):
    """Return the height of each name, 0 at the bottom."""
    return {name: -height for height, names in enumerate(layers) for name in names}


def room(path, base):
    """Return the first part of a file's path below a folder: a folder's or a file's name."""
    return path.relative_to(base).parts[0].removesuffix(".py")


def climbing(paths, base, prefix, level):
    """Yield each import by which a file under a folder reaches a higher layer than its own."""
    for path in paths:
        own = level[room(path, base)]
        for name in imports(path):
            target = name.removeprefix(prefix).split(".")[0]
            if name.startswith(prefix) and level.get(target, own) > own:
                yield f"{place(path)} imports {name}"


def test_imports_go_down_in_the_package():
    level = levels(drawn_layers("Layers"))
    missing = {room(path, SOURCE) for path in PACKAGE} - level.keys()
    assert not missing, f"docs/architecture.md draws no box for {sorted(missing)}"
    gone = level.keys() - {room(path, SOURCE) for path in PACKAGE}
    assert not gone, f"docs/architecture.md draws {sorted(gone)}, which do not exist"
    assert not list(climbing(PACKAGE, SOURCE, "flashwasm.", level))


def test_imports_go_down_in_qe():
    base = SOURCE / "qe"
    paths = [path for path in PACKAGE if path.is_relative_to(base)]
    level = levels(drawn_layers("Layers of `qe`"))
    assert {room(path, base) for path in paths} == level.keys()
    assert not list(climbing(paths, base, "flashwasm.qe.", level))


def test_imports_go_up_in_the_map_of_the_package_of_changes():
    """A folder imports only `known_names` and the folders above it in the list of the map."""
    base = SOURCE / "qe" / "changes"
    paths = [path for path in PACKAGE if path.is_relative_to(base)]
    folders = re.findall(r"^\* `(\w+)`", changes.__doc__, re.MULTILINE)
    level = {name: height for height, name in enumerate(["__init__", "known_names", *folders])}
    assert {room(path, base) for path in paths} == level.keys()
    assert not list(climbing(paths, base, "flashwasm.qe.changes.", level))


def test_no_import_circle():
    assert not circles(import_graph(PACKAGE))
    assert not circles(import_graph(BENCH))


def test_folders_import_each_other_in_no_circle():
    """Two folders must not import each other, even if no two of their files do."""
    graph = {}
    for module, others in import_graph(PACKAGE).items():
        folder = room_of(module)
        targets = {room_of(other) for other in others}
        graph.setdefault(folder, set()).update(t for t in targets if apart(folder, t))
    assert not circles(graph)


def room_of(module):
    """Return a module's folder; a file at the top of the package counts as a folder."""
    parts = module.split(".")
    return module if len(parts) <= 2 else ".".join(parts[:-1])


def apart(first, second):
    """Return True unless one folder lies in the other."""
    return not f"{first}.".startswith(f"{second}.") and not f"{second}.".startswith(f"{first}.")


def test_the_package_does_not_import_the_benchmarks_of_the_checkout():
    found = [place(p) for p in PACKAGE if any(n.split(".")[0] == "bench" for n in imports(p))]
    assert not found


def test_only_the_host_imports_wasmtime():
    found = [
        place(path)
        for path in PACKAGE
        if any(name.split(".")[0] == "wasmtime" for name in imports(path))
    ]
    assert all(name.startswith("src/flashwasm/host/") for name in found), found


def test_oracles_import_nothing_else_of_the_package():
    for path in (SOURCE / "oracles").rglob("*.py"):
        others = {name for name in imports(path) if name.startswith("flashwasm")}
        assert all(name.startswith("flashwasm.oracles") for name in others), place(path)


@pytest.mark.parametrize("package", [fw, qe])
def test_init_holds_names_only(package):
    """A package's __init__ lists public names and imports them lazily; it defines nothing."""
    body = ast.parse(Path(package.__file__).read_text("utf-8")).body
    assert not any(isinstance(node, (ast.FunctionDef, ast.ClassDef)) for node in body)
    assert len(set(package.__all__)) == len(package.__all__)
    assert all(hasattr(package, name) for name in package.__all__)
    assert dir(package) == sorted(package.__all__)
    with pytest.raises(AttributeError, match=rf"'{package.__name__}' has no attribute 'nothing'"):
        _ = package.nothing


def test_importing_a_package_imports_none_of_its_names():
    code = (
        "import sys, flashwasm\n"
        "assert 'flashwasm.qe' not in sys.modules\n"
        "qe = flashwasm.qe\n"
        "print(*sorted({'numpy', 'wasmtime', 'flashwasm.qe.suites.suite'} & sys.modules.keys()))\n"
        "print(qe.collect.__module__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported, module = done.stdout.splitlines()
    assert not imported
    assert module.startswith("flashwasm.qe.suites.")


def drawn_call():
    """Return the files and the arrows in the picture of a call.

    The files are a dictionary, by the names of the participants. Each solid arrow is a tuple
    (caller, callee, function).
    """
    picture = ARCHITECTURE.split("sequenceDiagram\n", 1)[1].split("```", 1)[0]
    files = dict(re.findall(r"participant (\w+) as (\S+)", picture))
    arrows = re.findall(r"^ *(\w+)->>(\w+): (\w+)", picture, re.MULTILINE)
    return files, arrows


def test_the_picture_of_a_call_names_files_and_functions_that_exist():
    files, arrows = drawn_call()
    assert len(arrows) >= 6
    for name, file in files.items():
        assert name == "you" or (SOURCE / file).exists() or (ROOT / file).exists(), file
    for _, callee, function in arrows:
        folder = SOURCE if (SOURCE / files[callee]).exists() else ROOT
        text = (folder / files[callee]).read_text("utf-8")
        assert re.search(rf"\bdef {function}\b|EXPORT\({function}\)", text), (
            f"{files[callee]}: {function}"
        )
