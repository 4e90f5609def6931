"""The HNSW index: a graph of near neighbours that a search walks along."""
