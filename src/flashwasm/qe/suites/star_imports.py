"""Digests of files that tests import by ``*``, but that no test comes from.

Such a file may get a test later. So its digest is also one of the names in it that may stand for
tests. As long as these are the same, a change of the file brings no test.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flashwasm.qe.suites.module_reader import ModuleReader, ParsedModule

if TYPE_CHECKING:
    from flashwasm.qe.suites.pytest_settings import PytestSettings

__all__ = ["brings_other_names", "content_digest", "star_digest"]

# What stands between the digest of the content and that of the names.
_NAMES = ", names "
# Kinds of bindings that are tests only if their names are those of tests.
_BY_NAME = ("FunctionSpan", "Value")


def star_digest(content: str, module: ParsedModule, settings: PytestSettings) -> str:
    """Return the digest of a file that a test imports by ``*``.

    Parameters
    ----------
    content : str
        `file_digest` of the file.
    module : ParsedModule
        The file.
    settings : PytestSettings
        Settings of pytest, which say how tests are named.
    """
    outline = module.outline.to_json()
    for scope in (outline, *outline["classes"]):
        scope["names"] = {
            name: binding
            for name, binding in scope["names"].items()
            if binding[0] not in _BY_NAME or _may_be_test(name, settings)
        }
        scope["conditional"] = [one for one in scope["conditional"] if one in scope["names"]]
    text = json.dumps(_without_lines(outline), sort_keys=True)
    return f"{content}{_NAMES}{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()}"


def content_digest(digest: str) -> str:
    """Return the digest of the content, from a digest of `file_digest` or `star_digest`."""
    return digest.partition(_NAMES)[0]


def brings_other_names(path: Path, digest: str, settings: PytestSettings) -> bool:
    """Return True if a changed file may define, or bring by ``import *``, other tests than before.

    Parameters
    ----------
    path : pathlib.Path
        Path of the file.
    digest : str
        Its earlier `star_digest`. With any other digest, every change counts.
    settings : PytestSettings
        Settings of pytest.
    """
    names = digest.partition(_NAMES)[2]
    module = ModuleReader(path, settings.root, (), cache=False).read(path) if names else ""
    if not isinstance(module, ParsedModule):
        return True
    return star_digest("", module, settings).partition(_NAMES)[2] != names


def _may_be_test(name: str, settings: PytestSettings) -> bool:
    """Return True if pytest or unittest may take a function of this name for a test."""
    named = settings.is_function(name) or settings.is_class(name)
    return named or name.startswith("test") or name == "runTest"


def _without_lines(value: Any) -> Any:
    """Return JSON without its numbers, all of which are numbers of lines."""
    if isinstance(value, Mapping):
        return {name: _without_lines(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_lines(one) for one in value]
    return None if type(value) is int else value
