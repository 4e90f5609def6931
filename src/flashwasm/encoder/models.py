"""Models on this machine: list, locate, remove.

A model is a folder as sentence-transformers lays it out: ``config.json``, ``model.safetensors``,
``tokenizer.json`` and, where pooling is not the default, ``1_Pooling/config.json``.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from flashwasm.encoder.releases import (
    DEFAULT_MODEL,
    OPTIONAL_FILES,
    RELEASES,
    REQUIRED_FILES,
    WEIGHTS,
)
from flashwasm.errors import CapabilityError
from flashwasm.storage.user_folders import data_folder

__all__ = [
    "InstalledModel",
    "fingerprint",
    "installed",
    "locate",
    "models_folder",
    "remove",
    "sha256_of",
    "weights_digest",
]


@dataclass(frozen=True)
class InstalledModel:
    """A model in the user's data folder.

    Parameters
    ----------
    name : str
        The name by which it is loaded.
    path : pathlib.Path
        Its folder.
    size : int
        Bytes on disk.
    """

    name: str
    path: Path
    size: int


def models_folder() -> Path:
    """Return the folder that models are installed into, one folder a model."""
    return data_folder() / "models"


def installed() -> list[InstalledModel]:
    """Return the models in the user's data folder, by name.

    Returns
    -------
    list of InstalledModel
        Empty where none is installed.

    Examples
    --------
    >>> sorted(model.name for model in installed()) == [model.name for model in installed()]
    True
    """
    folder = models_folder()
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
    """Return the folder of a model.

    Parameters
    ----------
    model : str or pathlib.Path, optional
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
    named = {found.name: found.path for found in installed()}
    folder = named.get(str(model)) or Path(model).expanduser()
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


def remove(name: str) -> Path:
    """Delete an installed model.

    Parameters
    ----------
    name : str
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
    # The folder is one that the listing gave. A path made of the name could lead anywhere:
    # joining "/" to a folder gives the root of the file system.
    folders = {model.name: model.path for model in installed()}
    if name not in folders:
        have = ", ".join(folders) or "none"
        raise CapabilityError(f"model {name!r} is not installed; installed: {have}")
    shutil.rmtree(folders[name])
    return folders[name]


def weights_digest(folder: Path) -> str:
    """Return the SHA-256 of a model's weights file, in hexadecimal."""
    return sha256_of(folder / WEIGHTS)


def fingerprint(folder: Path) -> str:
    """Return a SHA-256 over every file that decides a model's embeddings, in hexadecimal.

    Two folders with the same weights and another tokenizer or pooling differ.
    """
    digest = hashlib.sha256()
    for name in REQUIRED_FILES + OPTIONAL_FILES:
        path = folder / name
        digest.update(f"{name}:{sha256_of(path) if path.is_file() else 'none'}\n".encode())
    return digest.hexdigest()


def _missing_files(folder: Path) -> list[str]:
    return [name for name in REQUIRED_FILES if not (folder / name).is_file()]


def sha256_of(path: Path) -> str:
    """Return a file's SHA-256, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
