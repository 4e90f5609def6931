"""The flat index: every vector is compared with every query."""
