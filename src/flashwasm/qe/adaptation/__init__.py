"""Adaptation of embeddings to feedback: the log, training, validation and versions."""
