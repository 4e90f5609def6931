"""The HNSW index: a search follows the links of a graph of near neighbours."""
