"""Adapting embeddings to feedback: a log, the change, the gate before its use, and versions."""
