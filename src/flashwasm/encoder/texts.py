"""Texts to embed: their check, and their division into batches by length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from flashwasm.errors import DTypeError

__all__ = ["batches_by_length", "checked_texts"]


def batches_by_length(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Yield the positions of texts in batches of at most ``batch_tokens`` tokens, longest first.

    Texts of similar length share a batch. The longest come first, so that the buffers are allocated
    only once.
    """
    batch: list[int] = []
    total = 0
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if batch and total + lengths[i] > batch_tokens:
            yield batch
            batch, total = [], 0
        batch.append(i)
        total += lengths[i]
    if batch:
        yield batch


def checked_texts(texts: Iterable[str]) -> list[str]:
    """Return the texts as a list; raise DTypeError if one is not a text."""
    if isinstance(texts, str):
        raise DTypeError("texts is a str; expected a list of str: encode([text])")
    if not isinstance(texts, Iterable):
        raise DTypeError(f"texts is {type(texts).__name__}; expected a list of str")
    checked = list(texts)
    for i, text in enumerate(checked):
        if not isinstance(text, str):
            raise DTypeError(f"texts[{i}] is {type(text).__name__}; expected str")
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError as error:
                raise DTypeError(f"texts[{i}] is not valid Unicode: {error}") from error
    return checked
