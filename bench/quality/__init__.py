"""Evaluation of the results of the quality-engineering workloads, compared with TF-IDF and BM25."""
