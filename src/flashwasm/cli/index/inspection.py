"""``flashwasm index info`` and ``verify``: describe the content of a file, and check it."""

from __future__ import annotations

from pathlib import Path

import click

from flashwasm.cli.index.group import index
from flashwasm.cli.options import EXISTING_PATH, json_option
from flashwasm.cli.output import echo_json, print_table
from flashwasm.cli.path_or_index import note_changes
from flashwasm.qe.inspection.file_inspection import FileReport, inspect_file, verify_file

__all__ = ["info", "verify"]

_file_argument = click.argument("file", metavar="F", type=EXISTING_PATH)


@index.command()
@_file_argument
@json_option
def info(file: Path, *, as_json: bool) -> None:
    """Show the kind, version, sizes and digests of an index file.

    \b
    Example:
      flashwasm index info tests.suite
    """
    report = inspect_file(file)
    if as_json:
        echo_json(_json(file, report))
        return
    lines = [
        ("kind", report.kind),
        ("version", str(report.version)),
        ("bytes", str(report.nbytes)),
        ("sha256", report.sha256),
        *((name, str(value)) for name, value in report.facts.items()),
    ]
    for section in report.sections:
        shape = " x ".join(map(str, section.shape))
        text = f"{section.dtype} {shape}, {section.nbytes} bytes, crc32 {section.crc:08x}"
        lines.append((f"section {section.name}", text))
    print_table(("what", "value"), lines, prose=("value",))


@index.command()
@_file_argument
@json_option
def verify(file: Path, *, as_json: bool) -> None:
    """Verify the checksums of an index file, and report whether its sources have changed.

    Exit status: 2 if the file is damaged. Changed sources do not make a file damaged.

    \b
    Example:
      flashwasm index verify tests.suite
    """
    changes = verify_file(file)
    if as_json:
        echo_json({"file": str(file), "whole": True, "changed": changes})
    else:
        click.echo(f"{file} is whole")
        note_changes(changes, file)


def _json(file: Path, report: FileReport) -> dict[str, object]:
    """Return the report on a file for JSON."""
    return {
        "file": str(file),
        "kind": report.kind,
        "version": report.version,
        "bytes": report.nbytes,
        "sha256": report.sha256,
        **report.facts,
        "sections": [
            {
                "name": section.name,
                "dtype": section.dtype,
                "shape": section.shape,
                "bytes": section.nbytes,
                "crc32": f"{section.crc:08x}",
            }
            for section in report.sections
        ],
    }
