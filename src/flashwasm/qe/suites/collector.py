"""The collector, which finds the tests that pytest would collect in the outlines of files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flashwasm.qe.suites.foreign_classes import (
    adds_no_tests,
    gives_constructor,
    is_abstract_base,
)
from flashwasm.qe.suites.module_outline import (
    Alias,
    Binding,
    CallResult,
    ClassName,
    ClassOutline,
    FunctionSpan,
    ImportedName,
)
from flashwasm.qe.suites.name_resolution import (
    Definition,
    Lineage,
    Meaning,
    NameResolver,
)
from flashwasm.qe.suites.suite import CollectedTest, add_node_id
from flashwasm.qe.suites.unfollowed_parts import UnfollowedParts

if TYPE_CHECKING:
    from pathlib import Path

    from flashwasm.qe.suites.module_reader import ModuleReader, ParsedModule
    from flashwasm.qe.suites.pytest_settings import PytestSettings
    from flashwasm.qe.suites.source_files import Skipped

__all__ = ["Collector"]

# An imported name that contains one of these may be a TestCase.
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
        # The key is the place that defines a function, so classes that inherit it share one entry.
        self._found: dict[tuple[ParsedModule, str, int], tuple[Definition, list[str]]] = {}
        self._unfollowed = UnfollowedParts(self._names, settings)
        self._sources: set[Path] = set()
        self._stars: dict[Path, ParsedModule] = {}

    def add_module(self, module: ParsedModule) -> None:
        """Add the tests that pytest collects from a file."""
        outline = module.outline
        if outline.is_test is False:
            return
        prefix = module.path.relative_to(self._settings.root).as_posix()
        bases = {base.partition(".")[0] for one in outline.classes.values() for base in one.bases}
        for name, binding in outline.names.items():
            if name not in outline.deleted and self._is_followed(module, name, binding, bases):
                listed = self._add(module, name, self._names.follow(module, binding), prefix)
                if listed and name in outline.conditional:
                    self._unfollowed.add_condition(module, outline.conditional[name])
        for unfollowed in outline.unfollowed:
            self._unfollowed.add(module, unfollowed.line, unfollowed.reason)
        for star, line in outline.stars:
            self._add_star(module, star, line, prefix)

    def tests(self) -> list[CollectedTest]:
        """Return an entry for each function, in the order of discovery."""
        entries = []
        for definition, ids in self._found.values():
            span, module = definition.outline, definition.module
            if isinstance(span, FunctionSpan):
                source = module.source(span)
                first, *also = ids
                name = _name_of(definition)
                entries.append(
                    CollectedTest(first, module.path, span.line, source, tuple(also), name)
                )
        return entries

    def sources(self) -> set[Path]:
        """Return the files on which the tests depend, besides those given to `add_module`.

        They define a test or an ancestor of a test class, or import it for another file. A file
        that only defines what the tests call is not among them.
        """
        return self._names.with_importers(self._sources)

    def stars(self) -> list[ParsedModule]:
        """Return the files that test files import as a whole by ``import *``, also indirectly."""
        return list(self._stars.values())

    def skipped(self) -> list[Skipped]:
        """Return the parts that could not be followed, in the order of discovery."""
        return self._unfollowed.skipped()

    def _is_followed(
        self, module: ParsedModule, name: str, binding: Binding, bases: set[str]
    ) -> bool:
        """Return True if a name in a module may stand for tests."""
        if isinstance(binding, ClassName) or self._is_named(name):
            return True
        if isinstance(binding, CallResult):
            # A call may convert a class in the file into another class, of any name.
            names = [module.outline.names.get(one) for one in binding.arguments]
            return any(isinstance(one, ClassName) for one in names)
        if isinstance(binding, Alias):
            first = binding.target.partition(".")[0]
            return isinstance(module.outline.names.get(first), ClassName)
        return isinstance(binding, ImportedName) and self._is_import_followed(
            module, name, binding, bases
        )

    def _is_import_followed(
        self, module: ParsedModule, name: str, imported: ImportedName, bases: set[str]
    ) -> bool:
        """Return True if an imported name may be a TestCase, which may have any name.

        Reading every imported file would be slow. So the function requires a hint: the name itself,
        use as a base class, no use at all, or an import from a neighbouring file.
        """
        lower = name.lower()
        if name in bases or any(word in lower for word in _LIKE_A_TEST):
            return True
        # The search for a second mention usually ends early, since most imports are used soon.
        if module.text.find(name, module.text.find(name) + 1) < 0:
            return True
        path = self._modules.locate(module.path.parent, imported.module)
        return path is not None and path.parent == module.path.parent

    def _is_named(self, name: str) -> bool:
        """Return True if a function or a class of this name is a test."""
        return self._settings.is_function(name) or self._settings.is_class(name)

    def _add_star(self, module: ParsedModule, star: str, line: int, prefix: str) -> None:
        """Add the tests that ``from star import *`` brings into a module."""
        source = self._names.star(module, star)
        if source is None:
            if not adds_no_tests(f"{star}."):
                self._unfollowed.add(module, line, f"{star} is not in the suite")
            return
        self._stars |= {one.path: one for one in self._names.starred(source)}
        for name in self._names.exported(source):
            meaning = self._names.meaning(source, name)
            # If the module is in the suite and creates tests by a call, that is reported there.
            if name not in module.outline.names and isinstance(meaning, Definition):
                self._add(module, name, meaning, prefix)

    def _add(self, module: ParsedModule, name: str, meaning: Meaning, prefix: str) -> bool:
        """Add the meaning of a name in a module; return True if it is a test or a test class."""
        if not isinstance(meaning, Definition):
            self._unfollowed.add_name(module, name, meaning)
            return False
        imported = meaning.module is not module and "::" not in prefix
        if imported and not self._settings.collect_imported_tests:
            return False
        if isinstance(meaning.outline, ClassOutline):
            return self._add_class(meaning, name, prefix)
        if self._settings.is_function(name):
            self._add_function(meaning, f"{prefix}::{name}")
            return True
        return False

    def _add_class(self, definition: Definition, name: str, prefix: str) -> bool:
        """Add the tests of a class, including inherited ones; return True if pytest collects it.

        The node id of the class is ``prefix::name``.
        """
        lineage = self._names.lineage(definition)
        outlines = [one.outline for one in lineage.classes if isinstance(one.outline, ClassOutline)]
        if self._may_have_tests(name, outlines, lineage):
            self._sources.update(ancestor.module.path for ancestor in lineage.classes)
        if not self._is_collected(name, outlines, lineage):
            self._unfollowed.add_doubtful_class(definition, name, lineage)
            return False
        self._unfollowed.add_class(name, lineage)
        class_id = f"{prefix}::{name}"
        seen: set[str] = set()
        listed = False
        for ancestor, outline in zip(lineage.classes, outlines, strict=True):
            for member, binding in outline.names.items():
                if member in seen or not self._is_member(member, binding):
                    continue
                module = ancestor.module
                meaning = self._names.follow(module, binding, owner=outline.name)
                if lineage.is_test_case:
                    added = self._add_method(module, member, meaning, class_id)
                elif isinstance(meaning, Definition) and meaning.outline in outlines:
                    added = False  # A class that contains itself would lead to endless recursion.
                else:
                    added = self._add(module, member, meaning, class_id)
                listed |= added
                if added and member in outline.conditional:
                    self._unfollowed.add_condition(module, outline.conditional[member])
            seen.update(outline.names)
        if lineage.is_test_case and not listed:
            self._add_run_test(lineage, class_id)
        return True

    def _is_member(self, name: str, binding: Binding) -> bool:
        """Return True if a name in a class may be a test or a test class."""
        named = name.startswith("test") or self._is_named(name)
        return named or isinstance(binding, ClassName)

    def _add_method(self, module: ParsedModule, name: str, meaning: Meaning, class_id: str) -> bool:
        """Add a method of a TestCase; return True if it is a test.

        unittest has its own rule for names, and does not look for tests in nested classes.
        """
        if not name.startswith("test"):
            return False
        if isinstance(meaning, Definition):
            self._add_function(meaning, f"{class_id}::{name}")
            return True
        self._unfollowed.add_name(module, name, meaning)
        return False

    def _may_have_tests(self, name: str, outlines: list[ClassOutline], lineage: Lineage) -> bool:
        """Return True if a class of this name, or an ancestor, looks like a class of tests."""
        return (
            lineage.is_test_case
            or self._settings.is_class(name)
            or any(one.is_test for one in outlines)
            or any(self._is_named(member) for one in outlines for member in one.names)
        )

    def _is_collected(self, name: str, outlines: list[ClassOutline], lineage: Lineage) -> bool:
        """Return True if pytest collects a class of this name with these ancestors."""
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
        if lineage.is_test_case:
            return True
        constructed = any(one.has_constructor for one in outlines)
        constructed = constructed or any(map(gives_constructor, lineage.foreign))
        return (self._settings.is_class(name) or bool(flags)) and not constructed

    def _add_run_test(self, lineage: Lineage, class_id: str) -> None:
        """Add ``runTest``, which unittest runs if a class has no other tests."""
        for ancestor in lineage.classes:
            outline, path = ancestor.outline, ancestor.module.path
            # pytest ignores the method of that name which Twisted's classes inherit.
            if path.match("twisted/trial/*.py") or not isinstance(outline, ClassOutline):
                continue
            if (binding := outline.names.get("runTest")) is not None:
                meaning = self._names.follow(ancestor.module, binding, owner=outline.name)
                if isinstance(meaning, Definition):
                    self._add_function(meaning, f"{class_id}::runTest")
                return

    def _add_function(self, definition: Definition, nodeid: str) -> None:
        """Add a node id to the entry of a function."""
        if nodeid.startswith(self._settings.deselect):
            return
        self._sources.add(definition.module.path)
        ids = self._found.setdefault(definition.key, (definition, []))[1]
        add_node_id(ids, nodeid, definition.module.path, _name_of(definition))


def _name_of(definition: Definition) -> str:
    """Return the name of a function in its file, including the classes that contain it."""
    return "::".join([*filter(None, definition.owner.split(".")), definition.outline.name])
