"""The collector: from the outlines of a suite's files to the tests that pytest would collect."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from flashwasm.qe.suites.foreign_classes import (
    adds_no_tests,
    gives_constructor,
    is_abstract_base,
    is_test_case,
)
from flashwasm.qe.suites.module_outline import (
    Alias,
    Binding,
    ClassName,
    ClassOutline,
    FunctionSpan,
    ImportedName,
    Unfollowed,
)
from flashwasm.qe.suites.name_resolution import (
    Definition,
    Foreign,
    Lineage,
    Meaning,
    NameResolver,
    Open,
)
from flashwasm.qe.suites.source_files import Skipped
from flashwasm.qe.suites.suite import CollectedTest

if TYPE_CHECKING:
    from flashwasm.qe.suites.module_reader import ModuleReader, ParsedModule
    from flashwasm.qe.suites.pytest_settings import PytestSettings

__all__ = ["Collector"]

_NOT_LISTED = "tests that come from there are not listed"
# An import with one of these in its text may be that of a TestCase.
_LIKE_A_TEST = ("test", "case", "suite")


class Collector:
    """Collects the node ids of each test function.

    Parameters
    ----------
    modules : ModuleReader
        Reader of the suite's files.
    settings : PytestSettings
        Settings of pytest.
    """

    def __init__(self, modules: ModuleReader, settings: PytestSettings) -> None:
        self._modules = modules
        self._settings = settings
        self._names = NameResolver(modules)
        # The key is the place that defines a function, so classes that inherit it share its entry.
        self._found: dict[tuple[ParsedModule, str, int], tuple[Definition, list[str]]] = {}
        # Lines of each reason in a file.
        self._notes: dict[tuple[Path, str], list[int]] = {}

    def add_module(self, module: ParsedModule) -> None:
        """Add the tests that pytest collects from a file."""
        outline = module.outline
        if outline.is_test is False:
            return
        prefix = module.path.relative_to(self._settings.root).as_posix()
        bases = {base.partition(".")[0] for one in outline.classes.values() for base in one.bases}
        for name, binding in outline.names.items():
            if name not in outline.deleted and self._is_followed(module, name, binding, bases):
                self._add(module, name, self._names.follow(module, binding), prefix)
        for unfollowed in outline.unfollowed:
            self._note(module, unfollowed.line, f"{unfollowed.reason}; {_NOT_LISTED}")
        for star, line in outline.stars:
            self._add_star(module, star, line, prefix)

    def tests(self) -> list[CollectedTest]:
        """Return an entry for each function, in the order in which they were found."""
        entries = []
        for definition, ids in self._found.values():
            span, module = definition.outline, definition.module
            if isinstance(span, FunctionSpan):
                source = module.source(span)
                entries.append(
                    CollectedTest(ids[0], module.path, span.line, source, tuple(ids[1:]))
                )
        return entries

    def skipped(self) -> list[Skipped]:
        """Return what could not be followed, in the order in which it was met."""
        found = []
        for (path, reason), lines in self._notes.items():
            numbers = ", ".join(map(str, sorted(set(lines))))
            found.append(Skipped(path, f"line{'s' * (',' in numbers)} {numbers}: {reason}"))
        return found

    def _is_followed(
        self, module: ParsedModule, name: str, binding: Binding, bases: set[str]
    ) -> bool:
        """Return True if a name of a module may be that of tests."""
        if isinstance(binding, ClassName) or self._is_named(name):
            return True
        if isinstance(binding, Alias):
            first = binding.target.partition(".")[0]
            return isinstance(module.outline.names.get(first), ClassName)
        if not isinstance(binding, ImportedName):
            return False
        # An imported TestCase of any name is collected. Reading every imported file to find those
        # would take long, so a hint is needed: a name, a use as a base, or the place of the file.
        text = f"{binding.module} {name}".lower()
        if name in bases or any(word in text for word in _LIKE_A_TEST):
            return True
        path = self._modules.locate(module.path.parent, binding.module)
        return path is not None and path.parent == module.path.parent

    def _is_named(self, name: str) -> bool:
        """Return True if a function or a class of this name is a test."""
        return self._settings.is_function(name) or self._settings.is_class(name)

    def _add_star(self, module: ParsedModule, star: str, line: int, prefix: str) -> None:
        """Add the tests that ``from star import *`` brings into a module."""
        source = self._names.star(module, star)
        if source is None:
            if not adds_no_tests(f"{star}."):
                self._note(module, line, f"{star} is not in the suite; {_NOT_LISTED}")
            return
        for name in self._names.exported(source):
            if name not in module.outline.names:
                self._add(module, name, self._names.meaning(source, name), prefix)

    def _add(self, module: ParsedModule, name: str, meaning: Meaning, prefix: str) -> None:
        """Add what a name of a module means, if it is a test or a class of tests."""
        if isinstance(meaning, Definition):
            imported = meaning.module is not module and "::" not in prefix
            if imported and not self._settings.collect_imported_tests:
                return
            if isinstance(meaning.outline, ClassOutline):
                self._add_class(meaning, name, prefix)
            elif self._settings.is_function(name):
                self._add_function(meaning, f"{prefix}::{name}")
        elif self._is_named(name):
            self._note_open(module, name, meaning)

    def _add_class(self, definition: Definition, name: str, prefix: str) -> None:
        """Add the tests that a class defines and inherits, under the node id ``prefix::name``."""
        lineage = self._names.lineage(definition)
        is_unittest = any(map(is_test_case, lineage.foreign)) or any(
            is_test_case(base) for _, base in lineage.unknown
        )
        outlines = [one.outline for one in lineage.classes if isinstance(one.outline, ClassOutline)]
        if not self._is_collected(name, outlines, lineage, is_unittest=is_unittest):
            self._note_maybe_test(definition, name, lineage)
            return
        self._note_lineage(name, lineage)
        class_id = f"{prefix}::{name}"
        seen: set[str] = set()
        listed = False
        for ancestor, outline in zip(lineage.classes, outlines, strict=True):
            for member, binding in outline.names.items():
                if member not in seen and self._is_member(member, binding):
                    meaning = self._names.follow(ancestor.module, binding, owner=outline.name)
                    if is_unittest:
                        listed |= self._add_method(ancestor, member, meaning, class_id)
                    elif not (isinstance(meaning, Definition) and meaning.outline in outlines):
                        self._add(ancestor.module, member, meaning, class_id)
            seen.update(outline.names)
        if is_unittest and not listed:
            self._add_run_test(lineage, class_id)

    def _is_member(self, name: str, binding: Binding) -> bool:
        """Return True if a name of a class may be that of a test, or of a class of tests."""
        named = name.startswith("test") or self._is_named(name)
        return named or isinstance(binding, ClassName)

    def _add_method(self, ancestor: Definition, name: str, meaning: Meaning, class_id: str) -> bool:
        """Add a method of a TestCase; return True if it is a test.

        unittest asks for names of its own, and does not look for tests in classes inside a class.
        """
        if not name.startswith("test"):
            return False
        if isinstance(meaning, Definition):
            self._add_function(meaning, f"{class_id}::{name}")
            return True
        self._note_open(ancestor.module, name, meaning)
        return False

    def _is_collected(
        self, name: str, outlines: list[ClassOutline], lineage: Lineage, *, is_unittest: bool
    ) -> bool:
        """Return True if pytest collects a class of this name, given it and its ancestors."""
        flags = [one.is_test for one in outlines if one.is_test is not None]
        if flags and not flags[0]:
            return False
        metaclasses = [one.metaclass for one in outlines]
        if any(map(is_abstract_base, [*lineage.foreign, *metaclasses])):
            bound: set[str] = set()
            for one in outlines:
                if not bound.issuperset(one.abstract):
                    return False
                bound.update(one.names)
        if is_unittest:
            return True
        constructed = any(one.has_constructor for one in outlines)
        constructed = constructed or any(map(gives_constructor, lineage.foreign))
        return (self._settings.is_class(name) or bool(flags)) and not constructed

    def _add_run_test(self, lineage: Lineage, class_id: str) -> None:
        """Add ``runTest``, which unittest runs for a class without other tests."""
        for ancestor in lineage.classes:
            outline, path = ancestor.outline, ancestor.module.path
            # pytest makes an exception for the method of that name which Twisted's classes inherit.
            if path.match("twisted/trial/*.py") or not isinstance(outline, ClassOutline):
                continue
            if (binding := outline.names.get("runTest")) is not None:
                meaning = self._names.follow(ancestor.module, binding, owner=outline.name)
                if isinstance(meaning, Definition):
                    self._add_function(meaning, f"{class_id}::runTest")
                return

    def _add_function(self, definition: Definition, nodeid: str) -> None:
        """Add a node id to the function that a definition stands for."""
        if nodeid.startswith(self._settings.deselect):
            return
        ids = self._found.setdefault(definition.key, (definition, []))[1]
        if nodeid in ids:
            return
        name = "::".join([*filter(None, definition.owner.split(".")), definition.outline.name])
        # The first node id is that of the defining class, if pytest runs the test there.
        if nodeid.endswith(f"{definition.module.path.name}::{name}"):
            ids.insert(0, nodeid)
        else:
            ids.append(nodeid)

    # What follows says what could not be followed.

    def _note(self, module: ParsedModule, line: int, reason: str) -> None:
        """Note a line of a file that could not be followed."""
        self._notes.setdefault((module.path, reason), []).append(line)

    def _note_open(self, module: ParsedModule, name: str, meaning: Meaning) -> None:
        """Note a name of a test that means what only a run tells, or what is not in the suite."""
        if isinstance(meaning, Open) and isinstance(meaning.binding, Unfollowed):
            self._note(module, meaning.binding.line, f"{meaning.binding.reason}; {_NOT_LISTED}")
        elif isinstance(meaning, (Open, Foreign)):
            pattern = re.compile(rf"\b{re.escape(name)}\b")
            places = [i for i, text in enumerate(module.lines, 1) if pattern.search(text)]
            # Data and helpers of such a name are used in the file. A test is only run by pytest.
            if len(places) > 1:
                return
            if isinstance(meaning, Open):
                self._note(module, places[0], f"{name} is the result of a call; {_NOT_LISTED}")
            elif not (is_test_case(name) or adds_no_tests(meaning.name)):
                self._note(module, places[0], f"{name} is not in the suite; {_NOT_LISTED}")

    def _note_lineage(self, name: str, lineage: Lineage) -> None:
        """Note what may give a class of tests more tests than its source says."""
        own = lineage.classes[0]
        for base in lineage.foreign:
            if not adds_no_tests(base):
                self._note_class(own, name, f"its base {base} is not in the suite")
        for child, base in lineage.unknown:
            self._note_class(own, name, f"the base {base} of {child.outline.name} is not known")
        for ancestor in lineage.classes:
            if not isinstance(outline := ancestor.outline, ClassOutline):
                continue
            for unfollowed in outline.unfollowed:
                self._note(ancestor.module, unfollowed.line, f"{unfollowed.reason}; {_NOT_LISTED}")
            if outline.metaclass and not is_abstract_base(outline.metaclass):
                made = f"{outline.metaclass}, the metaclass of {outline.name}, may make tests"
                self._note_class(own, name, made)

    def _note_class(self, definition: Definition, name: str, reason: str) -> None:
        """Note why a class of tests may have more tests than its source says."""
        line = definition.outline.line
        self._note(definition.module, line, f"class {name}: {reason}; {_NOT_LISTED}")

    def _note_maybe_test(self, definition: Definition, name: str, lineage: Lineage) -> None:
        """Note a class that is left out but would be a TestCase if an unknown base were one."""
        doubtful = [base for base in lineage.foreign if not adds_no_tests(base)]
        doubtful += [base for _, base in lineage.unknown]
        outline = definition.outline
        if not doubtful or not isinstance(outline, ClassOutline) or outline.is_test is False:
            return
        if any(member.startswith("test") for member in outline.names):
            reason = f"class {name} is a test case only if {doubtful[0]} is one"
            self._note(definition.module, outline.line, f"{reason}; its tests are not listed")
