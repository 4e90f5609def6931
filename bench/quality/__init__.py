"""Evaluation of what the quality-engineering workloads find, compared with TF-IDF and BM25."""
