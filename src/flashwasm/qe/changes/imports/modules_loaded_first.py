"""Modules that Python or pytest loads before any test, by the settings of a project."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["modules_loaded_first"]

# Modules that Python imports when it starts.
_AT_START = ("sitecustomize", "usercustomize")
# Files that may load plugins for every test.
_SETTINGS = (
    *("pyproject.toml", "pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini"),
    *("setup.cfg", "setup.py", "tox.ini"),
)
# Variables of the environment that name plugins of pytest.
_OPTIONS, _PLUGINS = "PYTEST_ADDOPTS", "PYTEST_PLUGINS"
# A plugin that pytest loads by an option, as in ``addopts = -p name``.
_PLUGIN_OPTION = re.compile(r"-p[ =\"',]*([\w.]+)")
# The entry point through which pytest finds an installed plugin, up to the next section.
_PLUGIN_SECTION = re.compile(r"pytest11(.*?)(?:^\[|\Z)", re.DOTALL | re.MULTILINE)
# A setting of a plugin that names a module, as in ``DJANGO_SETTINGS_MODULE = shop.settings``.
_MODULE_SETTING = re.compile(r"\w+_MODULE\b[ \t]*=[ \t\"']*([\w.]+)")


def modules_loaded_first(root: Path, tests: Iterable[Path]) -> Iterator[str]:
    """Yield the dotted names of modules that Python or pytest loads for every test.

    Parameters
    ----------
    root : pathlib.Path
        Root of the project.
    tests : iterable of pathlib.Path
        Test files. pytest's settings may be in any folder between them and the root.
    """
    yield from _AT_START
    yield from _PLUGIN_OPTION.findall(os.environ.get(_OPTIONS, ""))
    yield from re.findall(r"[\w.]+", os.environ.get(_PLUGINS, ""))
    folders = {root, *(folder for test in tests for folder in test.parents)}
    for file in (folder / name for folder in folders for name in _SETTINGS):
        if file.is_relative_to(root) and file.is_file():
            text = file.read_text("utf-8", "replace")
            yield from (*_PLUGIN_OPTION.findall(text), *_MODULE_SETTING.findall(text))
            yield from re.findall(r"[\w.]+", " ".join(_PLUGIN_SECTION.findall(text)))
