"""Resolution of names in a suite's files to functions and classes."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from flashwasm.qe.suites.foreign_classes import is_test_case
from flashwasm.qe.suites.module_outline import (
    Alias,
    Binding,
    CallResult,
    ClassName,
    ClassOutline,
    FunctionSpan,
    ImportedName,
    Unfollowed,
)
from flashwasm.qe.suites.module_reader import ModuleReader, ParsedModule

__all__ = ["Definition", "Foreign", "Lineage", "Meaning", "NameResolver", "Open"]

# Maximum number of names to follow from one to the next, so that circular names end.
_MAX_STEPS = 16
# Maximum number of star imports to follow from one file to the next.
_MOST_STARS = 4


class Definition(NamedTuple):
    """A function or class of the suite.

    Parameters
    ----------
    module : ParsedModule
        Module that defines it.
    outline : ClassOutline or FunctionSpan
        Outline of the class, or span of the function.
    owner : str
        Qualified name of the class of a method; "" for a function.
    """

    module: ParsedModule
    outline: ClassOutline | FunctionSpan
    owner: str = ""

    @property
    def key(self) -> tuple[ParsedModule, str, int]:
        """Identity of the definition: its module, qualified name and line."""
        return self.module, f"{self.owner}.{self.outline.name}", self.outline.line


class Foreign(NamedTuple):
    """An object outside the suite, by its full dotted name, such as ``unittest.TestCase``."""

    name: str


class Open(NamedTuple):
    """An object that only running the suite would resolve."""

    module: ParsedModule
    binding: CallResult | Unfollowed


Meaning = Definition | Foreign | Open | None


@dataclass(frozen=True)
class Lineage:
    """A class with its ancestors.

    Parameters
    ----------
    classes : list of Definition
        The class and its ancestors in the suite, in the order in which Python looks up attributes.
    foreign : list of str
        Full dotted names of the ancestors outside the suite.
    unknown : list of tuple of (Definition, str)
        Bases that could not be resolved: the class with the base, and the base as written.
    """

    classes: list[Definition]
    foreign: list[str]
    unknown: list[tuple[Definition, str]]

    @cached_property
    def is_test_case(self) -> bool:
        """True if the class is a ``unittest.TestCase``, judging by the names of its bases."""
        names = [*self.foreign, *(base for _, base in self.unknown)]
        return any(map(is_test_case, names))


class NameResolver:
    """Resolves names from file to file.

    Parameters
    ----------
    modules : ModuleReader
        Reader of the suite's files.
    """

    def __init__(self, modules: ModuleReader) -> None:
        self._modules = modules
        self._lineages: dict[tuple[ParsedModule, str, int], Lineage] = {}
        # For each file that defines something, the files through which other files import it.
        self._importers: dict[Path, set[Path]] = {}

    def meaning(self, module: ParsedModule, name: str, steps: int = _MAX_STEPS) -> Meaning:
        """Resolve a dotted name in a module; None if it is not a function or class."""
        found = self._meaning(module, name, steps)
        if isinstance(found, Definition) and found.module is not module:
            self._importers.setdefault(found.module.path, set()).add(module.path)
        return found

    def with_importers(self, paths: Iterable[Path]) -> set[Path]:
        """Return files with the files through which names in them were found so far."""
        return {one for path in paths for one in (path, *self._importers.get(path, ()))}

    def follow(
        self,
        module: ParsedModule,
        binding: Binding,
        rest: str = "",
        *,
        owner: str = "",
        steps: int = _MAX_STEPS,
    ) -> Meaning:
        """Resolve a binding, or an attribute of it.

        Parameters
        ----------
        module : ParsedModule
            Module of the binding.
        binding : Binding
            Binding of a name of the module, or of a class in it.
        rest : str, default ""
            Dotted name of an attribute; "" for the binding itself.
        owner : str, default ""
            Qualified name of the class that contains the binding; "" for none.
        steps : int, default 16
            Maximum number of names to follow.
        """
        if steps == 0:
            return None
        if isinstance(binding, FunctionSpan):
            return None if rest else Definition(module, binding, owner)
        if isinstance(binding, ClassName):
            found = Definition(module, module.outline.classes[binding.qualified])
            return self._attribute(found, rest, steps - 1) if rest else found
        if isinstance(binding, Alias):
            return self._alias(module, binding, rest, owner, steps - 1)
        if isinstance(binding, ImportedName):
            return self._imported(module, binding, rest, steps - 1)
        return Open(module, binding) if isinstance(binding, (CallResult, Unfollowed)) else None

    def lineage(self, definition: Definition, above: tuple[Definition, ...] = ()) -> Lineage:
        """Return a class with its ancestors. Circular bases are visited once."""
        if definition.key not in self._lineages:
            self._lineages[definition.key] = self._find_lineage(definition, above)
        return self._lineages[definition.key]

    def exported(self, module: ParsedModule, depth: int = _MOST_STARS) -> list[str]:
        """Return the names that ``from module import *`` binds."""
        if module.outline.exported is not None:
            return module.outline.exported
        names = dict.fromkeys(
            one for one in module.outline.names if one not in module.outline.deleted
        )
        for star, _ in module.outline.stars if depth else ():
            if (source := self.star(module, star)) is not None:
                names.update(dict.fromkeys(self.exported(source, depth - 1)))
        return [name for name in names if not name.startswith("_")]

    def star(self, module: ParsedModule, source: str) -> ParsedModule | None:
        """Return the module of a star import; None if it is not in the suite."""
        path = self._modules.locate(module.path.parent, source)
        found = self._modules.read(path) if path else None
        return found if isinstance(found, ParsedModule) else None

    def starred(self, module: ParsedModule, depth: int = _MOST_STARS) -> Iterator[ParsedModule]:
        """Yield a module, and the modules of which it imports all names by ``*``, also indirectly.

        A module may be yielded several times.
        """
        yield module
        for star, _ in module.outline.stars if depth else ():
            if (source := self.star(module, star)) is not None:
                yield from self.starred(source, depth - 1)

    def _meaning(self, module: ParsedModule, name: str, steps: int) -> Meaning:
        """Resolve a dotted name in a module; see `meaning`."""
        first, _, rest = name.partition(".")
        if (binding := module.outline.names.get(first)) is not None:
            return self.follow(module, binding, rest, steps=steps)
        for star, _ in module.outline.stars if steps else ():
            source = self.star(module, star)
            if source is not None and first in self.exported(source):
                return self.meaning(source, name, steps - 1)
        return Foreign(f"builtins.{name}") if hasattr(builtins, first) else Foreign(name)

    def _alias(
        self, module: ParsedModule, alias: Alias, rest: str, owner: str, steps: int
    ) -> Meaning:
        """Resolve an alias; see `follow`."""
        target = f"{alias.target}.{rest}" if rest else alias.target
        first, _, more = target.partition(".")
        # In the body of a class, its own names hide those of the module.
        if owner and (binding := module.outline.classes[owner].names.get(first)) is not None:
            return self.follow(module, binding, more, owner=owner, steps=steps)
        return self.meaning(module, target, steps)

    def _imported(
        self, module: ParsedModule, imported: ImportedName, rest: str, steps: int
    ) -> Meaning:
        """Resolve an imported name; see `follow`."""
        parts = [part for part in (imported.attribute, *rest.split(".")) if part]
        reached = False
        # The first parts may be packages and modules, and the rest a name inside them.
        for split in range(len(parts)):
            path = self._modules.locate(module.path.parent, imported.module, tuple(parts[:split]))
            source = self._modules.read(path) if path else None
            if isinstance(source, ParsedModule):
                reached = True
                inside = self._inside(source, parts[split], ".".join(parts[split:]), steps)
                if inside is not None:
                    return inside
        if reached or not parts:
            return None
        return Foreign(".".join([imported.module.lstrip("."), *parts]).strip("."))

    def _inside(self, module: ParsedModule, first: str, name: str, steps: int) -> Meaning:
        """Resolve a name that a module must define or import."""
        if first in module.outline.names:
            return self.meaning(module, name, steps)
        found = self.meaning(module, name, steps)
        return None if isinstance(found, Foreign) else found

    def _attribute(self, definition: Definition, name: str, steps: int) -> Meaning:
        """Resolve a dotted attribute of a class."""
        first, _, rest = name.partition(".")
        for ancestor in self.lineage(definition).classes:
            outline = ancestor.outline
            if isinstance(outline, ClassOutline) and first in outline.names:
                module, binding = ancestor.module, outline.names[first]
                return self.follow(module, binding, rest, owner=outline.name, steps=steps)
        return Foreign(f"{definition.outline.name}.{name}")

    def _find_lineage(self, definition: Definition, above: tuple[Definition, ...]) -> Lineage:
        """Return a class with its ancestors; ``above`` are the subclasses being resolved."""
        outline, module = definition.outline, definition.module
        lines: list[list[Definition]] = []
        foreign: list[str] = []
        unknown: list[tuple[Definition, str]] = []
        for base in outline.bases if isinstance(outline, ClassOutline) else ():
            meaning = self._base(module, outline.name, base)
            if isinstance(meaning, Foreign):
                foreign.append(meaning.name)
            elif isinstance(meaning, Definition) and isinstance(meaning.outline, ClassOutline):
                if meaning.key not in {one.key for one in (*above, definition)}:
                    inner = self.lineage(meaning, (*above, definition))
                    lines.append(inner.classes)
                    foreign += inner.foreign
                    unknown += inner.unknown
            else:
                unknown.append((definition, base))
        return Lineage([definition, *_merged(lines)], foreign, unknown)

    def _base(self, module: ParsedModule, name: str, base: str) -> Meaning:
        """Resolve a base of the class with a qualified name."""
        if base.startswith("("):
            return None
        scope = name.rpartition(".")[0]
        first, _, rest = base.partition(".")
        # In a nested class, names of the outer class hide those of the module.
        binding = module.outline.classes[scope].names.get(first) if scope else None
        if binding is not None and binding != ClassName(name):
            return self.follow(module, binding, rest, owner=scope)
        return self.meaning(module, base)


def _merged(lines: list[list[Definition]]) -> Iterator[Definition]:
    """Yield the classes of several lineages in Python's order: each after all its subclasses."""
    pending = [list(line) for line in [*lines, [line[0] for line in lines]] if line]
    while pending:
        behind = {one.key for line in pending for one in line[1:]}
        # Contradictory bases have no order, and Python rejects them.
        head = next((line[0] for line in pending if line[0].key not in behind), pending[0][0])
        yield head
        pending = [
            rest for line in pending if (rest := [one for one in line if one.key != head.key])
        ]
