"""Adaptation of embeddings to feedback: the log, the training, the gate and the versions."""
