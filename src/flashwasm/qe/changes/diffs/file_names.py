"""Names of a changed file, from the header lines above its changes in a diff."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import takewhile

__all__ = ["HEADER_LINE", "names_of"]

# Lines with a file's name. The keys of a header are the words before the name.
HEADER_LINE = re.compile(
    r"(?P<key>diff --git|diff --cc|diff --combined|rename from|rename to|copy from|copy to"
    r"|Binary files?(?= .+ (?:differ|has changed)$)) (?P<names>.+)"
)
_NO_FILE = "/dev/null"
# Prefixes that git puts before the two names of a file, by default and with diff.mnemonicPrefix.
_PREFIX = re.compile(r"[abciow12]/")
# Prefixes of other kinds end with one of these, as "old/" and "new-" do.
_END_OF_PREFIX = ("/", "-", "_", ":")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(rb'\\([0-7]{1,3}|[abfnrtv"\\])')
_ESCAPED = dict(zip(b'abfnrtv"\\', b'\a\b\f\n\r\t\v"\\', strict=True))
# Maximum length of a path. No operating system accepts a longer one.
_LONGEST = 1 << 14


def names_of(header: Mapping[str, str]) -> tuple[str, str]:
    """Return a file's paths after and before a change, which are equal if it has only one.

    Parameters
    ----------
    header : mapping of str to str
        Rest of each line that gives a name, by the words before the name, such as "rename from",
        "---" or "diff --git".

    Raises
    ------
    ValueError
        If a line that must contain two names contains one.
    """
    for kind in ("rename", "copy"):
        if f"{kind} from" in header and f"{kind} to" in header:
            return _name(header[f"{kind} to"]), _name(header[f"{kind} from"])
    for key in ("diff --cc", "diff --combined"):
        if key in header:
            return _name(header[key]), _name(header[key])
    old, new = _name(header.get("---", _NO_FILE)), _name(header.get("+++", _NO_FILE))
    by_git = "diff --git" in header
    if by_git and _NO_FILE in (old, new):
        old, new = _two_names(header["diff --git"], " ")
    binary = header.get("Binary files", header.get("Binary file"))
    if binary is not None and not by_git:
        text = binary.removesuffix(" differ").removesuffix(" has changed")
        # Mercurial names a binary file once. Other tools name it before and after the change.
        names = _two_names(text, " and ") if " and " in text else (text, text)
        old, new = (_name(name) for name in names)
    if _NO_FILE in (old, new):
        name = old if new == _NO_FILE else new
        name = name[2:] if _PREFIX.match(name) else name
        return name, name
    old, new = _without_prefixes(old, new, by_git=by_git)
    return new, old


def _name(text: str) -> str:
    """Return the name at the beginning of a text: in quotation marks, or up to a tab."""
    quoted = _QUOTED.match(text)
    return _unquoted(quoted[1]) if quoted else text.partition("\t")[0]


def _unquoted(name: str) -> str:
    r"""Return a name that git wrote in quotation marks, in which ``\303\266`` stands for "ö"."""

    def byte(escape: re.Match[bytes]) -> bytes:
        code = escape[1]
        return bytes([int(code, 8) & 0xFF if code.isdigit() else _ESCAPED[code[0]]])

    data = _ESCAPE.sub(byte, name.encode("utf-8", "replace"))
    return data.decode("utf-8", "replace")


def _two_names(text: str, separator: str) -> tuple[str, str]:
    """Return the two names of a line.

    Names without quotation marks may contain the separator. A line without a rename has the same
    name twice, after two prefixes. So the line is cut where the two sides have the longest common
    end: "a/x b/x b/x b/x" has the names "a/x b/x" and "b/x b/x".
    """
    if len(text) > _LONGEST:
        raise ValueError("a name is longer than any path")
    quoted = _QUOTED.match(text)
    if quoted:
        return _unquoted(quoted[1]), _name(text[quoted.end() :].removeprefix(separator))
    if text.endswith('"') and f'{separator}"' in text:
        # A name with a quotation mark is itself in quotation marks, so the first name has none.
        old, _, new = text.partition(f'{separator}"')
        return old, _name(f'"{new}')
    cuts = [found.start() for found in re.finditer(re.escape(separator), text)]
    if not cuts:
        raise ValueError(f"expected two names in {text[:80]!r}")
    best, length = ("", ""), -1
    # Two prefixes are about as long as each other, so the search begins in the middle. It ends when
    # the shorter name is too short for a longer common end.
    for cut in sorted(cuts, key=lambda cut: abs(2 * cut - len(text))):
        old, new = text[:cut], text[cut + len(separator) :]
        if min(len(old), len(new)) <= length:
            break
        if (common := len(_common_end(old, new))) > length:
            best, length = (old, new), common
    return best


def _common_end(one: str, other: str) -> str:
    """Return the longest text that both names end with."""
    pairs = zip(reversed(one), reversed(other), strict=False)
    length = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    return one[len(one) - length :]


def _without_prefixes(old: str, new: str, *, by_git: bool) -> tuple[str, str]:
    """Return the two names of a file without prefixes such as "a/" and "b/".

    Equal names have no prefixes: with ``git diff --no-prefix``, "a/x" is in a folder "a". Prefixes
    other than git's end where the names begin to be equal.
    """
    if old == new:
        return old, new
    if _PREFIX.match(old) and _PREFIX.match(new):
        # Equal beginnings, as in "a/x" and "a/y", are a folder.
        return (old, new) if old[0] == new[0] else (old[2:], new[2:])
    if not by_git:
        # Two folders were compared, as by `diff -r old new`, if only their names differ.
        inside = {name.partition("/")[2] for name in (old, new)}
        path = inside.pop() if len(inside) == 1 else ""
        return (path or old), (path or new)
    end = _common_end(old, new)
    before = {name.removesuffix(end)[-1:] for name in (old, new)}
    if before <= {"", *_END_OF_PREFIX}:
        path = end  # One of the prefixes is empty.
    elif end.startswith(_END_OF_PREFIX):
        path = end[1:]
    else:
        path = end.partition("/")[2]
    return (path or old), (path or new)
