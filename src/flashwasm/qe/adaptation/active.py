"""The adaptation that a suite's searches use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flashwasm.errors import CorruptFileError
from flashwasm.qe.adaptation.store import AdaptationStore

if TYPE_CHECKING:
    from pathlib import Path

    from flashwasm.qe.adaptation.adaptation import Adaptation
    from flashwasm.runtime.runtime import Runtime

__all__ = ["active_adaptation"]


def active_adaptation(
    root: Path, model: str, runtime: Runtime
) -> tuple[int | None, Adaptation | None, list[str]]:
    """Return the number and the content of a suite's active version, and why there is none.

    Parameters
    ----------
    root : pathlib.Path
        The suite's root folder.
    model : str
        Digest of the model in use: an adaptation of another one's embeddings is left out.
    runtime : Runtime
        Where it shall lie.
    """
    store = AdaptationStore(root)
    try:
        version = store.active()
        if version is None:
            return None, None, []
        if version.model == model:
            return version.number, store.load(version, runtime), []
    except (CorruptFileError, OSError) as error:
        return None, None, [f"the active adaptation cannot be read and is left out: {error}"]
    note = f"the active adaptation, version {version.number}, is of another model and is left out"
    return None, None, [note]
