"""A sentence encoder that runs on the kernels, and the installation of its models."""

from flashwasm.encoder.sentence_encoder import SentenceEncoder

__all__ = ["SentenceEncoder"]
