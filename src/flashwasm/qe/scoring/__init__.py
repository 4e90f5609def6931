"""Scoring of texts: tf-idf, whitened embeddings, coverage, and caches of computed arrays."""
