"""The backend `native`: NumPy and its BLAS, outside the sandbox."""
