"""The objects that imported names refer to."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["imported_names"]


def imported_names(path: Path, nodes: Iterable[ast.AST]) -> Iterator[tuple[str, str]]:
    """Yield each name that some nodes import, with a description of its object.

    Parameters
    ----------
    path : pathlib.Path
        File of the nodes.
    nodes : iterable of ast.AST
        Nodes, not only imports.

    Yields
    ------
    name : str
        The name; "*" for all names of a module.
    meaning : str
        Equal for names of one object. Two folders may have modules of one name.
    """
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            # A relative import depends on the folder, so the folder is part of the meaning.
            folder = path.parent if node.level else _folder_of(path.parent, node.module or "")
            for alias in node.names:
                meaning = f"{folder}{'.' * node.level}{node.module or ''}:{alias.name}"
                yield alias.asname or alias.name, meaning
        elif isinstance(node, ast.Import):
            for alias in node.names:
                name = alias.name if alias.asname else alias.name.partition(".")[0]
                yield alias.asname or name, f"{_folder_of(path.parent, name)}{name}"


def _folder_of(folder: Path, module: str) -> str:
    """Return the folder beside the tests that holds a module; "" for an installed module.

    pytest puts the first folder above a test file that is no package on the path of imports.
    """
    top = module.partition(".")[0]
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    is_beside = (folder / f"{top}.py").is_file() or (folder / top).is_dir()
    return f"{folder}/" if is_beside else ""
