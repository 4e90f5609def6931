"""Embeddings of texts, from the cache where they are there, else from the model."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from flashwasm.encoder import SentenceEncoder
from flashwasm.encoder import installed_models as models
from flashwasm.host.modules import module_sha256
from flashwasm.qe.scoring.embedding_cache import EmbeddingCache
from flashwasm.qe.scoring.preparation import PREPARATION_VERSION, prepare
from flashwasm.runtime.runtime import checked_runtime
from flashwasm.storage.user_folders import cache_folder

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from flashwasm.runtime.runtime import Runtime

__all__ = ["Embedder"]

# Tokens a text: prepared tests have a fifth of this on average.
_MAX_LENGTH = 256
# After each so many texts progress is shown, and what was embedded until then may be written to
# the cache. Fewer would make batches of texts that are less alike in length.
_TEXTS_AT_ONCE = 256
# Queries that are kept.
_MOST_QUERIES = 256
# The cache is written as a whole. It is written again once embedding has taken so many times as
# long as that did, and a run that is killed loses what it embedded since.
_BETWEEN_SAVES = 20


class Embedder:
    """Embeds texts, each only once on a machine.

    The model is loaded when a text comes that the cache does not have.

    Parameters
    ----------
    model : str, pathlib.Path or SentenceEncoder, optional
        An installed model's name, a model's folder, or an encoder; None is the default model.
    cache : bool, default True
        Whether embeddings are kept in the user's cache folder.
    prepared : bool, default True
        Whether the model is given the words of a text only, each once; False gives it all.
    runtime : Runtime, optional
        The sandbox that the model is loaded into; the process-wide one when None.

    Raises
    ------
    CapabilityError
        If the model is not installed.
    """

    def __init__(
        self,
        model: str | Path | SentenceEncoder | None = None,
        *,
        cache: bool = True,
        prepared: bool = True,
        runtime: Runtime | None = None,
    ) -> None:
        self._encoder = model if isinstance(model, SentenceEncoder) else None
        self.folder = model.folder if isinstance(model, SentenceEncoder) else models.locate(model)
        self._runtime = checked_runtime(runtime)
        self._prepared = prepared
        fingerprint = models.fingerprint(self.folder)
        variant = self._runtime.variant if self._encoder is None else self._encoder.variant
        preparation = PREPARATION_VERSION if prepared else "raw"
        # The kernels are part of it: what a faulty build embedded must not outlive that build.
        self._texts_as = f"{fingerprint}:{preparation}:{_MAX_LENGTH}:"
        self._settings = f"{module_sha256(variant)}:{self._texts_as}"
        name = f"{fingerprint[:32]}.bin"
        self._cache = EmbeddingCache(cache_folder() / "embeddings" / name if cache else None)
        # Apart, since a cache is written as a whole: there is one query at a time.
        queries = cache_folder() / "queries" / name if cache else None
        self._queries = EmbeddingCache(queries, _MOST_QUERIES)

    @property
    def settings(self) -> str:
        """A digest of everything that an embedding depends on besides the text."""
        return hashlib.sha256(self._settings.encode()).hexdigest()

    @property
    def identity(self) -> str:
        """A digest of the model and of how texts are prepared for it, whatever kernels run it."""
        return hashlib.sha256(self._texts_as.encode()).hexdigest()

    def embed(
        self, texts: Sequence[str], *, progress: Callable[[int, int], None] | None = None
    ) -> npt.NDArray[np.float32]:
        """Return unit vectors ``(n, dim)`` of texts; n is at least 1.

        Parameters
        ----------
        texts : sequence of str
            Source or free text.
        progress : callable, optional
            Called with the number of texts embedded and of those that the cache did not have.
        """
        keys = [self._key(text) for text in texts]
        text_of = dict(zip(keys, texts, strict=True))
        missing = self._cache.missing(keys)
        if missing and progress is not None:
            progress(0, len(missing))
        saved, pause = monotonic(), 0.0
        try:
            for start in range(0, len(missing), _TEXTS_AT_ONCE):
                part = missing[start : start + _TEXTS_AT_ONCE]
                self._cache.add(part, self._encoded([text_of[key] for key in part]))
                if (begun := monotonic()) - saved > pause:
                    self._cache.save()
                    saved = monotonic()
                    pause = _BETWEEN_SAVES * (saved - begun)
                if progress is not None:
                    progress(start + len(part), len(missing))
        finally:
            # An interrupted run leaves what it has done to the next.
            self._cache.save()
        return self._cache.vectors(keys)

    def embed_query(self, text: str) -> npt.NDArray[np.float32]:
        """Return the unit vector ``(dim,)`` of a text that is not one of a collection."""
        key = self._key(text)
        for cache in (self._cache, self._queries):
            if (known := cache.get(key)) is not None:
                return known
        self._queries.add([key], self._encoded([text]))
        self._queries.save()
        vector: npt.NDArray[np.float32] = self._queries.vectors([key])[0]
        return vector

    def _encoded(self, texts: list[str]) -> npt.NDArray[np.float32]:
        if self._encoder is None:
            self._encoder = SentenceEncoder.load(self.folder, runtime=self._runtime)
        if self._prepared:
            texts = [prepare(text) for text in texts]
        vectors: npt.NDArray[np.float32] = self._encoder.encode(texts, max_length=_MAX_LENGTH)
        return vectors

    def _key(self, text: str) -> bytes:
        return hashlib.sha256((self._settings + text).encode("utf-8", "surrogatepass")).digest()
