"""Results stored in `bench/results/`, and the tables and the picture generated from them."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from bench.findings import Comparison
from flashwasm.benchmarks.processor import kind_of, this_processor
from flashwasm.errors import CorruptFileError
from flashwasm.storage.atomic_files import write_atomically

__all__ = ["PICTURE", "TABLES", "picture_of", "read_results", "record_result", "tables_of"]

_ROOT = Path(__file__).parent.parent
_RESULTS = _ROOT / "bench" / "results"
TABLES = _ROOT / "docs" / "performance-tables.md"
PICTURE = _ROOT / "docs" / "performance.svg"

_HEAD = """\
# Figures of `python -m bench`

This file is made by `python -m bench render` from the files in `bench/results/`, one for each kind
of processor. Change those, not this. [Performance](performance.md) says how the figures are taken.
"""


def record_result(found: Comparison) -> Path:
    """Write findings to the file of this kind of processor, and return its path.

    Parameters
    ----------
    found : Comparison
        A whole run.
    """
    processor = this_processor()
    found.facts |= {
        "processor": processor.name,
        "date": datetime.now(timezone.utc).date().isoformat(),
    }
    path = _RESULTS / f"{kind_of(processor)}.json"
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, [document_text(found.as_dict()).encode()])
    return path


def document_text(document: dict[str, Any]) -> str:
    """Return a document as JSON with one record a line, and numbers of five digits.

    Parameters
    ----------
    document : dict
        Findings, as `Findings.as_dict` returns them.
    """
    parts = []
    for name, value in _rounded(document).items():
        if isinstance(value, list) and value:
            lines = ",\n  ".join(json.dumps(record, ensure_ascii=False) for record in value)
            parts.append(f"{json.dumps(name)}: [\n  {lines}\n ]")
        else:
            parts.append(f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}")
    return "{\n " + ",\n ".join(parts) + "\n}\n"


def _rounded(value: Any) -> Any:
    """Return a document whose numbers have five significant digits."""
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(inner) for inner in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


def read_results(folder: Path = _RESULTS) -> dict[str, Comparison]:
    """Return the stored results, by kind of processor.

    Parameters
    ----------
    folder : pathlib.Path
        Folder of the JSON files.

    Raises
    ------
    CorruptFileError
        If one of them does not contain a result.
    """
    return {path.stem: _read(path) for path in sorted(folder.glob("*.json"))}


def _read(path: Path) -> Comparison:
    """Return the result in a file, or raise CorruptFileError."""
    try:
        return Comparison.from_dict(json.loads(path.read_text("utf-8")))
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise CorruptFileError(f"{path} holds no recorded result: {error}") from error


def tables_of(results: dict[str, Comparison]) -> str:
    """Return results as Markdown: a chapter for each kind of processor."""
    parts = [_HEAD]
    for kind, found in results.items():
        _, _, rest = found.markdown().partition("\n")
        # The report's own headings move one level down, below the processor's.
        parts.append(f"## {kind}\n{rest.replace(chr(10) + '## ', chr(10) + '### ')}")
    return "\n".join(parts)


def picture_of(results: dict[str, Comparison]) -> bytes:
    """Return a picture of the latest result, as SVG.

    Raises
    ------
    CapabilityError
        If matplotlib is not installed.
    """
    from bench.plots import picture  # noqa: PLC0415 - it loads matplotlib.

    latest = max(results.values(), key=lambda found: str(found.facts.get("date", "")))
    return picture(latest, PICTURE.name)
