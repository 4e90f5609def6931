"""Run pytest on chosen tests: a script, and the pytest plugin that the script loads.

The interpreter of the user's project runs this file. flashwasm may not be installed there, so the
file imports pytest only. Its folder is added to sys.path, so the folder contains no other module.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

# Environment variable with the path of the file of names, for the plugin in every process of a run.
_VARIABLE = "FLASHWASM_CHOSEN_TESTS"
_MODULE = "flashwasm_chosen_tests"
# Key under which an xdist worker sends the unknown names to the main process.
_UNKNOWN = "flashwasm_unknown_tests"
_ALL_RAN = "every test of its file was chosen instead"
_NONE_FOUND = "it found no test in that file, so none of it ran"


class ChosenTests:
    """Hooks that keep the chosen tests, in their order, and name those that pytest does not know.

    pytest collects whole files, because it runs no test at all if it does not know one of the node
    ids on its command line.

    Parameters
    ----------
    names : sequence of str
        Node ids without parameters, and files and folders to run as a whole.
    """

    def __init__(self, names: list[str]) -> None:
        self._place = {name: place for place, name in enumerate(names)}
        # Each unknown name, and what happened to the other tests of its file.
        self._unknown: dict[str, str] = {}
        self._unread: set[str] = set()

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Remember the files that pytest skips or cannot import; it reports them itself."""
        if not report.passed:
            self._unread.add(_file(report.nodeid))

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Keep the chosen tests, and all tests of a file if pytest does not know a name in it."""
        known = {name for item in items for name in _names(item)}
        whole = {}
        for name, place in self._place.items():
            file = _file(name)
            if name not in known and file not in self._unread:
                whole[file] = place
                self._unknown[name] = _ALL_RAN if file in known else _NONE_FOUND
        place_of = {**whole, **self._place}
        chosen = []
        left_out = []
        for item in items:
            places = [place_of[name] for name in _names(item) if name in place_of]
            if places:
                chosen.append((max(places), item))
            else:
                left_out.append(item)
        if left_out:
            config.hook.pytest_deselected(items=left_out)
        # The sort is stable, so tests with the same place stay in pytest's order.
        items[:] = [item for _, item in sorted(chosen, key=lambda pair: pair[0])]

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Send the unknown names to the main process, if this is an xdist worker."""
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            output[_UNKNOWN] = self._unknown

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Receive the unknown names of an xdist worker that has ended."""
        output = getattr(node, "workeroutput", None) or {}
        self._unknown.update(output.get(_UNKNOWN, {}))

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print the names of the tests that pytest does not know."""
        for name, others in self._unknown.items():
            terminalreporter.write_line(f"flashwasm: pytest does not know {name}: {others}")


def _names(item: pytest.Item) -> list[str]:
    """Return the names that choose a test, without the case.

    They are its folders, its file, its classes and itself.
    """
    file, _, rest = item.nodeid.partition("::")
    # A case may contain "::", and the name of a folder may contain "[".
    parts = [file, *rest.partition("[")[0].split("::")]
    folders = [folder.as_posix() for folder in PurePosixPath(file).parents]
    return [*folders, *("::".join(parts[:count]) for count in range(1, len(parts) + 1))]


def _file(name: str) -> str:
    """Return the file of a node id."""
    return name.partition("::")[0]


def pytest_configure(config: pytest.Config) -> None:
    """Register the hooks, with the names that the script was given."""
    names = Path(os.environ[_VARIABLE]).read_text("utf-8").split("\n")
    config.pluginmanager.register(ChosenTests(names), _MODULE + "-hooks")


def _main(names_path: str, *arguments: str) -> int:
    """Run pytest on the files of the chosen tests, in the order of their first tests."""
    # As with ``-m pytest``, the working folder comes first on sys.path. The absolute path stays
    # valid if a test changes to another folder. The plugin's folder comes last.
    sys.path[0] = str(Path.cwd())
    sys.path.append(str(Path(__file__).resolve().parent))
    os.environ[_VARIABLE] = names_path
    names = Path(names_path).read_text("utf-8").split("\n")
    files = dict.fromkeys(map(_file, names))
    # pytest would run a test twice if both its file and a folder of the file were given.
    paths = [one for one in files if not any(p.as_posix() in files for p in Path(one).parents)]
    return pytest.main(["-p", _MODULE, *paths, *arguments])


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
