"""Models on this machine: list them, locate one, remove one.

A model is a folder in the layout of sentence-transformers: ``config.json``, ``model.safetensors``,
``tokenizer.json`` and, unless tokens are pooled by their mean, ``1_Pooling/config.json``.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from flashwasm.encoder.known_models import DEFAULT_MODEL, KNOWN_MODELS
from flashwasm.encoder.model_files import OPTIONAL_FILES, REQUIRED_FILES, WEIGHTS
from flashwasm.errors import CapabilityError
from flashwasm.storage.digests import sha256_of
from flashwasm.storage.file_paths import checked_path
from flashwasm.storage.scratch_files import scratch_path
from flashwasm.storage.user_folders import data_folder

__all__ = [
    "InstalledModel",
    "fingerprint",
    "installed",
    "locate",
    "models_folder",
    "remove",
    "weights_digest",
]


@dataclass(frozen=True)
class InstalledModel:
    """A model in the user's data folder.

    Parameters
    ----------
    name : str
        Name by which `SentenceEncoder.load` loads it.
    path : pathlib.Path
        The model's folder.
    size : int
        Size of all its files, in bytes.
    """

    name: str
    path: Path
    size: int


def models_folder() -> Path:
    """Return the folder of the installed models, which contains a folder for each."""
    return data_folder() / "models"


def installed() -> list[InstalledModel]:
    """List the models in the user's data folder.

    Returns
    -------
    list of InstalledModel
        The models, sorted by name. Folders that lack a required file are left out.

    Examples
    --------
    >>> sorted(model.name for model in installed()) == [model.name for model in installed()]
    True
    """
    try:
        paths = sorted(models_folder().iterdir())
    except (CapabilityError, OSError):
        # The user has no home folder or may not read it, or no model has been installed.
        return []
    return [
        InstalledModel(path.name, path, size)
        for path in paths
        # A name that begins with a dot belongs to an installation that is under way.
        if not path.name.startswith(".") and not _missing_files(path)
        # Another process may be removing the model.
        if (size := _size(path))
    ]


def locate(model: str | Path | None = None) -> Path:
    """Return the folder of a model.

    Parameters
    ----------
    model : str or pathlib.Path, optional
        The name of an installed model, or the path of a folder. None means `DEFAULT_MODEL`.

    Returns
    -------
    pathlib.Path
        Absolute path of the folder, which contains all required files.

    Raises
    ------
    CapabilityError
        If there is no such model, or if its folder lacks a required file. The message says how to
        get it.
    ShapeError, DTypeError
        If ``model`` can be neither a name nor a path.
    """
    model = DEFAULT_MODEL if model is None else model
    checked_path(model, "model")
    named = {found.name: found.path for found in installed()}
    folder = named.get(str(model)) or Path(model).expanduser()
    if not folder.is_dir():
        if model in KNOWN_MODELS:
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


def remove(name: str) -> Path:
    """Delete an installed model.

    Parameters
    ----------
    name : str
        Name of an installed model. Folders elsewhere are never deleted.

    Returns
    -------
    pathlib.Path
        The deleted folder.

    Raises
    ------
    CapabilityError
        If no model of that name is installed.
    """
    # Delete only a folder from the listing. A path built from the name could point anywhere:
    # joining a folder and "/" gives the root of the file system.
    folders = {model.name: model.path for model in installed()}
    if name not in folders:
        have = ", ".join(folders) or "none"
        raise CapabilityError(f"model {name!r} is not installed; installed: {have}")
    folder = folders[name]
    # The folder disappears at once, so no other process uses or repairs a part of the model.
    scratch = scratch_path(folder.parent)
    try:
        folder.rename(scratch)
    except FileNotFoundError:
        raise CapabilityError(f"model {name!r} was removed by another process") from None
    if scratch.is_symlink():
        scratch.unlink()
    else:
        shutil.rmtree(scratch)
    return folder


def weights_digest(folder: Path) -> str:
    """Return the SHA-256 of a model's weights file, in hexadecimal."""
    return sha256_of(folder / WEIGHTS)


def fingerprint(folder: Path) -> str:
    """Return a SHA-256 over every file that a model's embeddings depend on, in hexadecimal.

    Two folders with the same weights have different fingerprints if their tokenizers or pooling
    settings differ.
    """
    digest = hashlib.sha256()
    for name in REQUIRED_FILES + OPTIONAL_FILES:
        path = folder / name
        digest.update(f"{name}:{sha256_of(path) if path.is_file() else 'none'}\n".encode())
    return digest.hexdigest()


def _size(folder: Path) -> int:
    """Return the size of all files in a folder, in bytes; 0 if the folder no longer exists."""
    try:
        return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    except FileNotFoundError:
        return 0


def _missing_files(folder: Path) -> list[str]:
    """Return the names of the required files that the folder lacks."""
    return [name for name in REQUIRED_FILES if not (folder / name).is_file()]
