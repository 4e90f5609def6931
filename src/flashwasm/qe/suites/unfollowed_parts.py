"""Parts of a suite's files that can only be resolved at run time, with the reasons."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from flashwasm.qe.suites.decorators import changes_tests
from flashwasm.qe.suites.foreign_classes import adds_no_tests, is_abstract_base, is_test_case
from flashwasm.qe.suites.module_outline import CallResult, ClassOutline, FunctionSpan, Unfollowed
from flashwasm.qe.suites.name_resolution import (
    Definition,
    Foreign,
    Lineage,
    Meaning,
    NameResolver,
    Open,
)
from flashwasm.qe.suites.source_files import Skipped

if TYPE_CHECKING:
    from flashwasm.qe.suites.module_reader import ParsedModule
    from flashwasm.qe.suites.pytest_settings import PytestSettings

__all__ = ["UnfollowedParts"]


class UnfollowedParts:
    """Collects the lines of each file that could not be followed.

    Parameters
    ----------
    names : NameResolver
        Resolver of names in the suite's files.
    settings : PytestSettings
        Settings of pytest.
    """

    def __init__(self, names: NameResolver, settings: PytestSettings) -> None:
        self._names = names
        self._settings = settings
        # Lines of each reason in a file.
        self._lines: dict[tuple[Path, str], list[int]] = {}

    def skipped(self) -> list[Skipped]:
        """Return an entry for each file and reason, in the order in which they were added."""
        found = []
        for (path, reason), lines in self._lines.items():
            numbers = ", ".join(map(str, sorted(set(lines))))
            found.append(Skipped(path, f"line{'s' * (',' in numbers)} {numbers}: {reason}"))
        return found

    def add(self, module: ParsedModule, line: int, reason: str) -> None:
        """Add a line of a file that may define tests which are not listed."""
        self._add(module, line, f"{reason}; tests that come from there are not listed")

    def add_condition(self, module: ParsedModule, line: int) -> None:
        """Add the line of a listed test that a condition may leave undefined."""
        self._add(module, line, "a condition decides whether the test is defined; it is listed")

    def add_name(self, module: ParsedModule, name: str, meaning: Meaning) -> None:
        """Add a name that is known only at run time, or that is not in the suite.

        Names that cannot be tests are ignored.
        """
        is_named = self._settings.is_function(name) or self._settings.is_class(name)
        if isinstance(meaning, Open) and isinstance(meaning.binding, Unfollowed):
            if is_named:
                self.add(meaning.module, meaning.binding.line, meaning.binding.reason)
            return
        makes_tests = self._makes_tests(meaning)
        if not is_named and not makes_tests:
            return
        # If the file uses the name, it is data or a helper. Only pytest uses a test.
        if isinstance(meaning, Open) and (makes_tests or _is_unused(meaning.module, name)):
            line = meaning.binding.line
            self.add(meaning.module, line, f"{name} is the result of a call")
        elif isinstance(meaning, Foreign) and _is_unused(module, name):
            is_known = self._settings.is_class(name) and adds_no_tests(meaning.name)
            if not is_known and not is_test_case(name):
                self.add(module, _line_of(module, name), f"{name} is not in the suite")

    def add_class(self, name: str, lineage: Lineage) -> None:
        """Add the lines that may give a test class more tests than its source shows."""
        for base in lineage.foreign:
            if not adds_no_tests(base):
                self._add_class(name, lineage, f"its base {base} is not in the suite")
        for child, base in lineage.unknown:
            reason = f"the base {base} of {child.outline.name} is not known"
            self._add_class(name, lineage, reason)
        for ancestor in lineage.classes:
            if isinstance(outline := ancestor.outline, ClassOutline):
                for unfollowed in outline.unfollowed:
                    self.add(ancestor.module, unfollowed.line, unfollowed.reason)
                for decorator in outline.decorators:
                    if changes_tests(decorator, self._source(ancestor.module, decorator)):
                        reason = f"{decorator} may change {outline.name}"
                        self._add_class(name, lineage, reason)
                if outline.metaclass and not is_abstract_base(outline.metaclass):
                    made = f"{outline.metaclass}, the metaclass of {outline.name}, may make tests"
                    self._add_class(name, lineage, made)

    def add_doubtful_class(self, definition: Definition, name: str, lineage: Lineage) -> None:
        """Add a class that is not collected, but is a TestCase if an unknown base is one."""
        doubtful = [base for base in lineage.foreign if not adds_no_tests(base)]
        doubtful += [base for _, base in lineage.unknown]
        outline = definition.outline
        if not doubtful or not isinstance(outline, ClassOutline) or outline.is_test is False:
            return
        if any(member.startswith("test") for member in outline.names):
            reason = f"class {name} is a test case only if {doubtful[0]} is one"
            self._add(definition.module, outline.line, f"{reason}; its tests are not listed")

    def _add(self, module: ParsedModule, line: int, reason: str) -> None:
        """Add a line of a file."""
        self._lines.setdefault((module.path, reason), []).append(line)

    def _add_class(self, name: str, lineage: Lineage, reason: str) -> None:
        """Add the line of a class."""
        own = lineage.classes[0]
        self.add(own.module, own.outline.line, f"class {name}: {reason}")

    def _makes_tests(self, meaning: Meaning) -> bool:
        """Return True if a call may convert a test class into another class."""
        if not isinstance(meaning, Open) or not isinstance(meaning.binding, CallResult):
            return False
        for name in meaning.binding.arguments:
            found = self._names.meaning(meaning.module, name)
            if isinstance(found, Definition) and isinstance(found.outline, ClassOutline):
                classes = [one.outline for one in self._names.lineage(found).classes]
                members = {name for one in classes for name in getattr(one, "names", ())}
                if any(member.startswith("test") for member in members):
                    return True
        return False

    def _source(self, module: ParsedModule, name: str) -> str:
        """Return the source of the function with a name; "" if it is not in the suite."""
        meaning = self._names.meaning(module, name)
        if isinstance(meaning, Definition) and isinstance(meaning.outline, FunctionSpan):
            return meaning.module.source(meaning.outline)
        return ""


def _is_unused(module: ParsedModule, name: str) -> bool:
    """Return True if a file mentions a name only once, where the file binds it."""
    return len(re.findall(rf"\b{re.escape(name)}\b", module.text)) == 1


def _line_of(module: ParsedModule, name: str) -> int:
    """Return the first line of a file that mentions a name."""
    found = re.search(rf"\b{re.escape(name)}\b", module.text)
    return module.text.count("\n", 0, found.start()) + 1 if found else 1
