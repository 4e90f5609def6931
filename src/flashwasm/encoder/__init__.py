"""Transformer encoders that run on the kernels, and the models they load."""

from flashwasm.encoder.sentence import SentenceEncoder

__all__ = ["SentenceEncoder"]
