"""The embedder, which returns vectors of texts from a cache on disk or the sentence model."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from flashwasm.encoder import SentenceEncoder
from flashwasm.encoder import installed_models as models
from flashwasm.host.modules import module_sha256
from flashwasm.optional_packages import check_modules
from flashwasm.qe.scoring.embedding_cache import EmbeddingCache
from flashwasm.qe.scoring.word_extraction import WORDS_VERSION, extract_words
from flashwasm.runtime.default_runtime import checked_runtime
from flashwasm.storage.user_folders import usable_cache_folder

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from flashwasm.runtime.runtime import Runtime

__all__ = ["Embedder"]

# Maximum number of tokens that the model reads of a text. The words of a test are 50 on average.
_MAX_LENGTH = 256
# Number of texts to embed between reports of progress and saves of the cache. The encoder sorts
# these texts by length. With fewer texts, a batch would need more padding.
_TEXTS_AT_ONCE = 256
# Maximum number of queries whose vectors are kept.
_MOST_QUERIES = 256
# Each save writes the whole cache. So the next save waits until embedding has taken this many times
# as long as the last save. A killed run loses the vectors since its last save.
_BETWEEN_SAVES = 20


class Embedder:
    """Embeds texts, using a cache of embeddings on this machine.

    The model is loaded only if a text is not in the cache.

    Parameters
    ----------
    model : str, pathlib.Path or SentenceEncoder, optional
        Name of an installed model, folder of a model, or an encoder; None is the default model.
    cache : bool, default True
        True to keep embeddings in the user's cache folder.
    words_only : bool, default True
        True to embed only the words of a text, each once; False to embed the whole text.
    runtime : Runtime, optional
        Runtime that the model is loaded into. None means the default runtime.

    Attributes
    ----------
    folder : pathlib.Path
        Folder of the model.

    Raises
    ------
    CapabilityError
        If the model, or a package that it requires, is not installed.
    """

    def __init__(
        self,
        model: str | Path | SentenceEncoder | None = None,
        *,
        cache: bool = True,
        words_only: bool = True,
        runtime: Runtime | None = None,
    ) -> None:
        self._encoder = model if isinstance(model, SentenceEncoder) else None
        self.folder = model.folder if isinstance(model, SentenceEncoder) else models.locate(model)
        if self._encoder is None:
            # With cached embeddings, the failure would otherwise come only at the first query.
            check_modules("safetensors", "tokenizers")
        self._runtime = checked_runtime(runtime)
        self._words_only = words_only
        fingerprint = models.fingerprint(self.folder)
        variant = self._runtime.variant if self._encoder is None else self._encoder.variant
        precision = "float32" if self._encoder is None else self._encoder.precision
        version = WORDS_VERSION if words_only else "raw"
        self._model_settings = f"{fingerprint}:{version}:{_MAX_LENGTH}:"
        # The kernels are part of the settings, so that embeddings of a faulty build are not reused.
        self._settings = f"{module_sha256(variant)}:{precision}:{self._model_settings}"
        name = f"{fingerprint[:32]}.bin"
        folder = usable_cache_folder() if cache else None
        self._cache = EmbeddingCache(None if folder is None else folder / "embeddings" / name)
        # Queries have a separate, small file, because each query saves, and a save writes the whole
        # file.
        queries = None if folder is None else folder / "queries" / name
        self._queries = EmbeddingCache(queries, _MOST_QUERIES)

    @property
    def settings(self) -> str:
        """Digest of all settings that an embedding depends on."""
        return hashlib.sha256(self._settings.encode()).hexdigest()

    @property
    def identity(self) -> str:
        """Digest of the model and of the preparation of texts, without kernels and precision."""
        return hashlib.sha256(self._model_settings.encode()).hexdigest()

    def embed(
        self, texts: Sequence[str], *, progress: Callable[[int, int], None] | None = None
    ) -> npt.NDArray[np.float32]:
        """Return unit vectors ``(n, dim)`` of texts.

        Parameters
        ----------
        texts : sequence of str
            Texts, at least one.
        progress : callable, optional
            Function to call with the number of texts embedded so far and the number of texts that
            were not in the cache.
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
            # An interrupted run saves the vectors that it has computed.
            self._cache.save()
        return self._cache.vectors(keys)

    def embed_query(self, text: str) -> npt.NDArray[np.float32]:
        """Return the unit vector ``(dim,)`` of a query."""
        key = self._key(text)
        for cache in (self._cache, self._queries):
            if (known := cache.get(key)) is not None:
                return known
        self._queries.add([key], self._encoded([text]))
        self._queries.save()
        vector: npt.NDArray[np.float32] = self._queries.vectors([key])[0]
        return vector

    def _encoded(self, texts: list[str]) -> npt.NDArray[np.float32]:
        """Return the model's embeddings of texts. Load the model if it is not loaded yet."""
        if self._encoder is None:
            self._encoder = SentenceEncoder.load(self.folder, runtime=self._runtime)
        if self._words_only:
            texts = [extract_words(text) for text in texts]
        vectors: npt.NDArray[np.float32] = self._encoder.encode(texts, max_length=_MAX_LENGTH)
        return vectors

    def _key(self, text: str) -> bytes:
        """Return the cache's key of a text."""
        return hashlib.sha256((self._settings + text).encode("utf-8", "surrogatepass")).digest()
