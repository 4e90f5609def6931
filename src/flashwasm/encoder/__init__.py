"""A sentence encoder that runs on the kernels, and the installation of the models that it loads."""

from flashwasm.encoder.sentence_encoder import SentenceEncoder

__all__ = ["SentenceEncoder"]
