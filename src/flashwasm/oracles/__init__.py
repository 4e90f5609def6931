"""Float64 oracles and error bounds, to hold results to. They import NumPy only."""
