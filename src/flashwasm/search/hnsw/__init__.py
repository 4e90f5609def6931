"""The HNSW index, whose search follows the links of a graph of near neighbours."""
